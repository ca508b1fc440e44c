# One image for every process of the service: its argument says which, as in `docker run … frontend`.
#
#   docker build -t reliable-email:0.1.0 .
#
# The same sources make the same files. To make the same image, name the base by its digest and give the layers a time:
#
#   docker buildx build --build-arg PYTHON_IMAGE=python:3.13-slim-trixie@sha256:… \
#     --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" --output type=image,name=reliable-email:0.1.0,rewrite-timestamp=true .
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
# What zip files and compiled modules say of their age; with it set, Python names a module's source by hash instead.
ARG SOURCE_DATE_EPOCH=315532800
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# A package comes only as a wheel, and only with a hash that stands in the lock; so does what builds our own.
COPY requirements-image.lock ./
RUN python -m pip download --quiet --only-binary :all: --require-hashes --dest wheels --requirement requirements-image.lock
RUN python -m venv tools && tools/bin/python -m pip install --quiet --no-index --find-links wheels hatchling editables

COPY LICENSE README.md pyproject.toml ./
COPY reliable_email reliable_email
COPY services services
COPY shared shared
RUN tools/bin/python -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir wheels .

# From those wheels alone, so at the locked versions, and without pip or what only builds.
RUN python -m venv --without-pip /opt/reliable-email
RUN python -m pip --python /opt/reliable-email/bin/python install --quiet --no-index --find-links wheels 'reliable-email[tracing]'

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="reliable-email" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/reliable-email /opt/reliable-email
ENV PATH=/opt/reliable-email/bin:${PATH} PYTHONDONTWRITEBYTECODE=1
# It belongs to root: nothing is written anywhere but where a volume is mounted.
WORKDIR /var/lib/reliable-email
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
# The interface of a frontend, and the operations port of every process.
EXPOSE 8525 9525
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ.get('RELIABLE_EMAIL_OPS__PORT', '9525')}/healthz\", timeout=4)"]
# Without a shell between, so that SIGTERM reaches the process and drains it.
ENTRYPOINT ["reliable-email"]
CMD ["--help"]
