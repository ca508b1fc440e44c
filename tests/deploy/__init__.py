"""Laws and rehearsals of what deploys the service: manifests, image, compose file. `make check-deploy` runs them."""
