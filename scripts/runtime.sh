# Sourced by dyno, dyno-test and with-runtime: finds the checkout and makes sure of its pinned runtime.
# Sets ROOT and NODE. POSIX sh. Every start of dyno goes through here: what starts a process is dear.

# The folder of a path, in FOLDER.
folder_of() {
  case $1 in
    */*) FOLDER=${1%/*}/ ;;
    *) FOLDER=./ ;;
  esac
}

# The folder that $1 is really in, in FOLDER.
resolve() {
  # readlink -f is not in every sh world; follow links one at a time.
  target=$1
  while [ -L "$target" ]; do
    link=$(readlink "$target")
    case $link in
      /*) target=$link ;;
      *)
        folder_of "$target"
        target=$FOLDER$link
        ;;
    esac
  done
  folder_of "$target"
}

ready() {
  [ -x "$NODE" ] && cmp -s "$INSTALLED" "$ROOT/package-lock.json"
}

install() {
  if ! command -v npm >/dev/null 2>&1; then
    echo 'dyno: npm is not on the PATH; install Node.js 20 or newer with npm' >&2
    exit 2
  fi
  # mkdir is atomic: of two commands started together one installs and the other waits.
  LOCK=$ROOT/.cache/install.lock
  mkdir -p "$ROOT/.cache"
  waited=0
  until mkdir "$LOCK" 2>/dev/null; do
    owner=$(cat "$LOCK/pid" 2>/dev/null || true)
    if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
      rm -rf "$LOCK"
      continue
    fi
    waited=$((waited + 1))
    if [ "$waited" -gt 600 ]; then
      echo "dyno: another installation has held $LOCK for 10 minutes; remove it if none is running" >&2
      exit 2
    fi
    sleep 1
  done
  echo $$ >"$LOCK/pid"
  trap 'rm -rf "$LOCK"' EXIT
  trap 'rm -rf "$LOCK"; exit 130' INT TERM
  if ! ready; then
    echo 'dyno: installing dependencies (npm ci), once' >&2
    # A setting such as omit=optional would leave the runtime out.
    if ! (cd "$ROOT" && npm ci --ignore-scripts --include=dev --include=optional --no-fund --no-audit --loglevel=error >/dev/null); then
      echo 'dyno: npm ci failed; see its message above' >&2
      exit 2
    fi
    if [ ! -x "$NODE" ]; then
      echo "dyno: no pinned runtime for $(uname -s) $(uname -m) among the packages (optionalDependencies in package.json)" >&2
      exit 2
    fi
    cp "$ROOT/package-lock.json" "$INSTALLED"
  fi
  rm -rf "$LOCK"
  trap - EXIT INT TERM
}

resolve "$0"
ROOT=$(cd "$FOLDER.." && pwd -P)
NODE=$ROOT/node_modules/.bin/node
# The lock file as it was when everything had been installed.
INSTALLED=$ROOT/node_modules/.dyno-installed.json
ready || install
