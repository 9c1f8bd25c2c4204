# The work of a boot benchmark: a shell loop, then a pipe between two processes.
count=0
while [ $count -lt 20000 ]; do
  count=$((count + 1))
done
echo "boot: counted to $count"
seq 1 20000 | sha256sum
