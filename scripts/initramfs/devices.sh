# Uses every device that is there and says what came of it, one line each: "devices: NAME: ok …" or "devices: NAME: failed …".
say() {
  echo "devices: $*"
}

# The first disk holds an ext4 file system with a file "from-host"; the guest leaves "from-guest" and "numbers".
disk() {
  [ -b /dev/vda ] || { say disk: absent; return; }
  mkdir -p /mnt
  if mount -t ext4 /dev/vda /mnt; then
    text=$(cat /mnt/from-host)
    echo "written by the guest" > /mnt/from-guest
    mkdir -p /mnt/folder
    seq 1 100000 > /mnt/folder/numbers
    sync
    echo 3 > /proc/sys/vm/drop_caches
    say disk: ok "$text" "$(sha256sum < /mnt/folder/numbers)"
    umount /mnt || say disk: failed to unmount
  else
    say disk: failed to mount
  fi
}

network() {
  [ -d /sys/class/net/eth0 ] || { say network: absent; return; }
  ifconfig eth0 up
  if udhcpc -i eth0 -n -q -t 5 -s /etc/udhcpc > /dev/null 2>&1; then
    gateway=$(route -n | awk '$1 == "0.0.0.0" { print $2 }')
    address=$(ifconfig eth0 | awk '/inet addr/ { sub("addr:", "", $2); print $2 }')
    if ping -c 2 "$gateway" > /tmp/ping; then
      say network: ok "$address" "$gateway" "$(grep received /tmp/ping)"
    else
      say network: failed to reach "$gateway"
    fi
  else
    say network: failed to get an address
  fi
}

share() {
  tag=$(cat /sys/bus/virtio/drivers/9pnet_virtio/*/mount_tag 2> /dev/null)
  [ -n "$tag" ] || { say share: absent; return; }
  mkdir -p /share
  if mount -t 9p -o trans=virtio,version=9p2000.L "$tag" /share; then
    say share: ok "$tag" "$(ls /share | tr '\n' ' ')"
    umount /share
  else
    say share: failed to mount "$tag"
  fi
}

# A band of colour over the top of the screen.
screen() {
  [ -c /dev/fb0 ] || { say screen: absent; return; }
  size=$(cat /sys/class/graphics/fb0/virtual_size)
  width=${size%,*}
  if yes "$(printf '\377\200\100\001')" | tr -d '\n' | head -c $((width * 4 * 64)) > /dev/fb0; then
    say screen: ok "$size"
  else
    say screen: failed
  fi
}

entropy() {
  [ -c /dev/hwrng ] || { say entropy: absent; return; }
  if bytes=$(head -c 16 /dev/hwrng 2> /dev/null | hexdump -e '16/1 "%02x"') && [ -n "$bytes" ]; then
    say entropy: ok "$bytes"
  else
    say entropy: absent
  fi
}

clock() {
  [ -c /dev/rtc0 ] || { say clock: absent; return; }
  say clock: ok "$(hwclock -u -r 2>&1)"
}

disk
network
share
screen
entropy
clock
