#!/usr/bin/env bash
# Installs what building, testing and the quickstart need on Debian 12. Safe to run again. Prints nothing when there is nothing to do.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(g++ cmake ninja-build pkg-config ccache mold
  libasio-dev nlohmann-json3-dev libspdlog-dev libsqlite3-dev libssl-dev zlib1g-dev libyaml-cpp-dev libcli11-dev libhttp-parser-dev
  libseccomp-dev libjemalloc-dev libnghttp2-dev catch2
  nginx-light prometheus-node-exporter busybox python3 python3-kubernetes python3-grpcio nodejs npm curl procps perl)

missing=()
for package in "${packages[@]}"; do
  # Another package may provide the same command (a newer Node.js, say).
  case $package in
    nodejs) command -v node >/dev/null && continue ;;
    npm) command -v npm >/dev/null && continue ;;
    busybox) command -v busybox >/dev/null && continue ;;
  esac
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

updated=
update() { [ -n "$updated" ] || as_root apt-get update -qq; updated=1; }

if [ ${#missing[@]} -gt 0 ]; then
  echo "installing: ${missing[*]}"
  update
  # The packages' own services are not wanted: pods run these programs. A policy that refuses to start them, for this run only.
  policy=/usr/sbin/policy-rc.d
  placed=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
    placed=1
    trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  status=0
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || status=$?
  if [ -n "$placed" ]; then
    as_root rm -f $policy
    trap - EXIT
  fi
  [ $status = 0 ] || exit $status
  # Nor at the next boot. Services of packages that were here before are left as they are.
  for package in nginx-light prometheus-node-exporter; do
    case " ${missing[*]} " in *" $package "*) ;; *) continue ;; esac
    service=${package%-light}
    if command -v systemctl >/dev/null; then as_root systemctl --quiet disable "$service" >/dev/null 2>&1 || true; fi
    if command -v update-rc.d >/dev/null; then as_root update-rc.d "$service" disable >/dev/null 2>&1 || true; fi
  done
fi

# Debian's kubectl, beside whatever other kubectl the machine has: its package is unpacked into build/tools when it is not installed.
tools=build/tools
if [ ! -x $tools/kubectl ]; then
  mkdir -p $tools
  if dpkg-query -W -f='${Status}' kubernetes-client 2>/dev/null | grep -q 'ok installed'; then
    ln -sf /usr/bin/kubectl $tools/kubectl
  else
    update
    (cd $tools && apt-get download -qq kubernetes-client 2>/dev/null && dpkg-deb -x kubernetes-client_*.deb unpacked && rm kubernetes-client_*.deb)
    ln -sf unpacked/usr/bin/kubectl $tools/kubectl
  fi
fi
