#!/bin/sh
# Fetch the Debian packages that the scenes need.
#
#   tests/debian.sh [PACKAGE...]        what is listed below, and PACKAGE...
#
# Quiet, and quick when everything is there. It never fails: what it could not fetch it names, one line each,
# and the tests that need it skip (or fail, with CI=true).
#
# - No service is started, and Postfix is left without a system configuration.
# - Exim conflicts with Postfix, logrotate would rotate the machine's logs, and Prometheus would be a service of it, so
#   they are unpacked and not installed: $SENDER_DEBIAN_CACHE/PACKAGE, by default .cache/debian/PACKAGE in the checkout.
set -u
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

cache=${SENDER_DEBIAN_CACHE:-$(cd "$(dirname "$0")/.." && pwd)/.cache/debian}
policy=/usr/sbin/policy-rc.d
updated=
scratch=
wrote_policy=

clean_up() {
    [ -z "$wrote_policy" ] || rm -f "$policy"
    [ -z "$scratch" ] || rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

not_fetched() { # PACKAGE WHY
    echo "tests/debian.sh: $1: not fetched: $2"
}

why() { # the last error of the last apt or dpkg command
    tail=$(grep -E '^(E|dpkg.*error|dpkg-deb): ?' "$scratch/output" | tail -n 1)
    echo "${tail:-$(tail -n 1 "$scratch/output")}"
}

installed() { # PACKAGE
    [ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null)" = 'ii ' ]
}

unpacked() { # PACKAGE
    [ -e "$cache/$1/.complete" ]
}

prepare() { # once, before the first package that is missing
    [ -z "$updated" ] || return 0
    updated=yes
    # Another checkout may fetch at the same moment.
    exec 9>/var/lock/sender-tests-debian && flock 9
    scratch=$(mktemp -d) && chmod 755 "$scratch"
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && wrote_policy=yes
    fi
    apt-get -qq update >"$scratch/output" 2>&1
}

apt_install() { # PACKAGE...
    apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install --no-install-recommends "$@" \
        >"$scratch/output" 2>&1 </dev/null
}

install_package() { # PACKAGE
    ! installed "$1" || return 0
    prepare
    if [ "$1" = postfix ]; then
        echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
    fi
    apt_install "$1" || not_fetched "$1" "$(why)"
}

libraries() { # DEB: the library packages that it depends on, but those for browsers
    dpkg-deb -f "$1" Depends | tr ',' '\n' | sed -n '/^ *libjs-/d; s/^ *\(lib[^ (:|]*\).*/\1/p'
}

unpack_package() { # PACKAGE
    ! unpacked "$1" || return 0
    prepare
    rm -rf "${cache:?}/$1"
    mkdir -p "$cache/$1"
    if (cd "$scratch" && apt-get -qq download "$1") >"$scratch/output" 2>&1 &&
        deb=$(ls "$scratch/$1"_*.deb) &&
        dpkg-deb -x "$deb" "$cache/$1" >"$scratch/output" 2>&1 &&
        apt_install $(libraries "$deb"); then
        # A checkout is no place for programs that run as root for everyone.
        find "$cache/$1" -type f -perm /6000 -exec chmod ug-s {} +
        touch "$cache/$1/.complete"
    else
        not_fetched "$1" "$(why)"
    fi
}

# Exim's binary does not run without the user that was compiled into it.
exim_user() {
    ! getent passwd Debian-exim >/dev/null || return 0
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin Debian-exim ||
        not_fetched exim4-daemon-light 'the user Debian-exim could not be made'
}

refusal=
command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || refusal='this is not Debian'
[ -n "$refusal" ] || [ "$(id -u)" -eq 0 ] || refusal='only root may install it'

packages='postfix libsasl2-modules exim4-daemon-light postgrey msmtp curl systemd logrotate prometheus strace iproute2'
# shellcheck disable=SC2086 # a list of words
for package in $packages chromium "$@"; do
    case $package in
        exim4-daemon-light | logrotate | prometheus)
            if [ -n "$refusal" ]; then
                unpacked "$package" || not_fetched "$package" "$refusal"
            else
                unpack_package "$package"
                [ "$package" != exim4-daemon-light ] || exim_user
            fi ;;
        *)
            if [ -n "$refusal" ]; then
                installed "$package" 2>/dev/null || not_fetched "$package" "$refusal"
            else
                install_package "$package"
            fi ;;
    esac
done
exit 0
