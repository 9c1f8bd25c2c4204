#!/bin/sh
# What udhcpc calls with the lease it got, in variables.
case $1 in
  bound | renew)
    ifconfig "$interface" "$ip" netmask "$subnet"
    [ -n "$router" ] && route add default gw "$router" dev "$interface"
    ;;
esac
