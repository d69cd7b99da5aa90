# Starts a systemd in namespaces of its own, on the files of this machine, of which it has a copy that is written to. It
# runs one test, and ends with it. Nothing outside is changed.
#
# sh systemd.sh FOLDER PROGRAM TEST PACKAGE: what is written to FOLDER can be read outside.
set -eu

if [ "${5:-}" != inside ]; then
    # Where there are controllers of the first version, the second is below them.
    groups=/sys/fs/cgroup
    [ -d $groups/unified ] && groups=$groups/unified
    group=$groups/rikki-test-$$
    mkdir "$group"
    trap 'find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || :' EXIT
    unshare --pid --mount --uts --ipc --net --fork --kill-child \
        sh -c 'echo $$ >"$1/cgroup.procs"; shift; exec unshare --cgroup sh "$@"' - "$group" "$0" "$@" inside
    exit
fi

folder=$1 program=$2 test=$3 package=$4
# Short, and on no overlay.
base=/run/rikki-test
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p $base && mount -t tmpfs tmpfs $base
mkdir $base/upper $base/work $base/root
root=$base/root
mount -t overlay overlay -o lowerdir=/,upperdir=$base/upper,workdir=$base/work $root
mount -t proc proc $root/proc
# Read-only is what tells it that this is a container.
mount -t sysfs -o ro sysfs $root/sys
mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
mount -t tmpfs tmpfs $root/dev
for device in null zero full random urandom tty; do
    : >$root/dev/$device
    mount --bind /dev/$device $root/dev/$device
done
mkdir $root/dev/shm $root/dev/pts $root/test
ln -s /proc/self/fd $root/dev/fd
mount -t devpts -o newinstance,ptmxmode=0666 devpts $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx
: >$root/dev/console
mount --bind "$folder/console" $root/dev/console
mount -t tmpfs tmpfs $root/run
mount -t tmpfs tmpfs $root/tmp
mount --bind "$folder" $root/test
# These may be on disks of their own.
: >$root/test/program; mount --bind "$program" $root/test/program
: >$root/test/rikki.deb; mount --bind "$package" $root/test/rikki.deb
ip link set lo up
hostname rikki-test

# Nothing of this machine's own services, and packages may start theirs, which images of containers forbid.
rm -rf $root/etc/systemd/system $root/usr/sbin/policy-rc.d
for target in basic local-fs multi-user network-online remote-fs sockets sysinit timers; do
    rm -rf $root/lib/systemd/system/$target.target.wants
done
mkdir -p $root/etc/systemd/system
echo 0123456789abcdef0123456789abcdef >$root/etc/machine-id
cat >$root/etc/systemd/system/test.target <<END
[Unit]
Requires=test.service
END
cat >$root/etc/systemd/system/test.service <<END
[Unit]
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
Environment=TEST_OF_RIKKI_INSIDE_SYSTEMD=1 INTEROP_DEB=/test/rikki.deb PATH=/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/test/program --exact $test --nocapture
StandardOutput=append:/test/out
StandardError=inherit
END
# The root of the namespace and not of a process alone: services have namespaces of their own in it.
cd $root
mkdir run/before
pivot_root . run/before
umount -l run/before
exec env -i container=rikki-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    setpriv --bounding-set -sys_time,-sys_module,-sys_boot,-syslog,-mac_admin,-audit_control \
    chroot . /lib/systemd/systemd --system --unit=test.target --log-target=console --show-status=0
