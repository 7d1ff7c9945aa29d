#!/bin/bash
# First process of one machine: it has mount, pid, uts and ipc namespaces of its own, and joined its network
# namespace before. Killing it is pulling the plug. Usage: init.sh NAME FOLDER
set -e
name=$1 folder=$2
hostname "$name"

# A sysfs of this network namespace, with the host's cgroups kept.
mkdir -p "$folder/cgroup"
mount --rbind /sys/fs/cgroup "$folder/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$folder/cgroup" /sys/fs/cgroup
umount -l "$folder/cgroup"

# What must not be shared with other machines: locks, sockets, network namespaces, the runtime's state.
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/pids /run/lock
: > /run/resolv.conf

# What outlives a power cut: the machine's disks.
for name in kubelet containerd; do
    mkdir -p "$folder/$name" "/var/lib/$name"
    mount --bind "$folder/$name" "/var/lib/$name"
done
mkdir -p "$folder"/{disks/a,disks/b,log/pods,log/containers,cni} /mnt/disks /var/log/pods /var/log/containers /etc/cni/net.d
chmod 777 "$folder"/disks/*
mount --bind "$folder/disks" /mnt/disks
mount --bind "$folder/log/pods" /var/log/pods
mount --bind "$folder/log/containers" /var/log/containers
mount --bind "$folder/cni" /etc/cni/net.d

sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
if [ -e /proc/sys/net/ipv6 ]; then
    # An address is used at once, not a second after its network was asked who else has it.
    sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.forwarding=1 \
        net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
fi
# Last: mounts made by pods have to reach the kubelet.
mount --make-rshared /
touch /run/ready

trap 'exit 0' TERM
while :; do
    sleep 3600 &
    wait $!
done
