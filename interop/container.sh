# Runs a program as a container would: as process 1 of its own namespace, by a user without rights, on a root that is
# read-only and has little more than the program.
#
# sh container.sh ROOT PROGRAM SERVED COMMAND...: ROOT is an empty folder, SERVED what is at /srv.
set -eu

if [ "${RIKKI_TEST_INSIDE:-}" != yes ]; then
    RIKKI_TEST_INSIDE=yes exec unshare --pid --mount --uts --ipc --fork --kill-child sh "$0" "$@"
fi

root=$1 program=$2 served=$3
shift 3
mount --make-rprivate /
mount -t tmpfs tmpfs "$root"
mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/proc" "$root/srv" "$root/etc" "$root/dev" "$root/sys"
# What distroless/cc has: the C library.
for folder in /lib /lib64; do
    [ -L $folder ] && ln -s "$(readlink $folder)" "$root$folder"
    [ -d $folder ] && [ ! -L $folder ] && mkdir -p "$root$folder" && mount --bind $folder "$root$folder"
done
mount --bind /usr/lib "$root/usr/lib"
[ -d /usr/lib64 ] && mkdir -p "$root/usr/lib64" && mount --bind /usr/lib64 "$root/usr/lib64"
: >"$root/usr/bin/rikki"
mount --bind "$program" "$root/usr/bin/rikki"
mount --bind "$served" "$root/srv"
mount -o remount,bind,ro "$root/srv"
: >"$root/dev/null"
mount --bind /dev/null "$root/dev/null"
mount -t proc proc "$root/proc"
mount -o remount,ro "$root"
unset RIKKI_TEST_INSIDE
cd /
exec setpriv --no-new-privs --bounding-set=-all,+sys_chroot,+setuid,+setgid \
    chroot --userspec=65532:65532 --groups= "$root" "$@"
