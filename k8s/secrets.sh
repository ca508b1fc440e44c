#!/bin/sh
# Makes the secrets of an overlay in its folder `secrets`, as in `k8s/secrets.sh dev`: a password of Redis for each role, the file
# of Redis's users that fits them, and the key of a first client. What is there already stays.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?"usage: $0 OVERLAY, one of: $(ls "$here/overlays" | tr '\n' ' ')"}
case $folder in */*) ;; *) folder=$here/overlays/$folder ;; esac
folder=$folder/secrets
[ -d "$folder" ] || { echo "$folder is no folder" >&2; exit 2; }

for name in redis-frontend redis-scheduler redis-sender key-shop; do
  [ -s "$folder/$name" ] || openssl rand -hex 32 >"$folder/$name"
done

hash_of() { tr -d '\n' <"$folder/redis-$1" | openssl dgst -sha256 -r | cut -c1-64; }
sed -e "s/#FRONTEND/#$(hash_of frontend)/" -e "s/#SCHEDULER/#$(hash_of scheduler)/" -e "s/#SENDER/#$(hash_of sender)/" \
  "$here/redis/users.acl" >"$folder/users.acl"
echo "The secrets are in $folder"
