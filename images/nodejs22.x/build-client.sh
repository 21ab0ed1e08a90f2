#!/bin/sh
# Builds the native half of AWS's client in a root of nothing but Debian
# packages: libcurl and aws-lambda-cpp by the client's own script, then the
# addon as its binding.gyp says.
set -eu
export PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/tmp LC_ALL=C.UTF-8 TZ=UTC SOURCE_DATE_EPOCH=0
export CC=gcc CXX=g++ MAKEFLAGS="-j$(nproc)"
# Links that installing the packages would have made.
for name in aclocal automake; do ln -sf "$(echo /usr/bin/$name-*)" "/usr/bin/$name"; done
ln -sf mawk /usr/bin/awk

cd /client
sh scripts/preinstall.sh
g++ -shared -fPIC -O2 -std=c++17 -fvisibility=hidden -s \
    -DBUILDING_NODE_EXTENSION -DNODE_GYP_MODULE_NAME=rapid_client \
    -I/node/include/node -I/addon-api -Ideps/artifacts/include \
    src/rapid-client.cc \
    deps/artifacts/lib/libaws-lambda-runtime.a deps/artifacts/lib/libcurl.a \
    -Wl,--gc-sections -Wl,--build-id=none -o dist/rapid-client.node

# Our own addon, against the OpenSSL and V8 within Node.js.
g++ -shared -fPIC -O2 -std=c++20 -fvisibility=hidden -s -Wall -Werror \
    -I/node/include/node /native.cc -Wl,--build-id=none -o /native.node
