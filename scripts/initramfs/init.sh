#!/bin/sh
# The first process. Which script runs is said on the kernel's command line: dyno.run=boot (unless given), devices or shell.
echo 'init: started'
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /etc/modules); do
  insmod "/lib/modules/$module.ko" || echo "init: module $module was not loaded"
done
uname -a
script=boot
for word in $(cat /proc/cmdline); do
  case $word in
    dyno.run=*) script=${word#dyno.run=} ;;
  esac
done
if [ -f "/etc/run/$script" ]; then
  sh "/etc/run/$script"
  echo "init: $script ended with $?"
else
  echo "init: there is no script $script"
fi
poweroff -f
