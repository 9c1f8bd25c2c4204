/*
 * A hash table with open addressing, linear probing and deletion by shifting back. Scale: thousands of keys.
 * Check: every key inserted is found with its value, every key removed is gone, the others stay, and the walk over the
 * table agrees with the counts.
 */
#include "guest.h"

typedef struct {
  uint64_t key, value; /* key 0: empty */
} Slot;

static Slot *slots;
static size_t mask, used;

static size_t home_of(uint64_t key) { return (key * UINT64_C(0x9e3779b97f4a7c15) >> 20) & mask; }

static size_t locate(uint64_t key) {
  size_t at = home_of(key);
  while (slots[at].key != 0 && slots[at].key != key) at = (at + 1) & mask;
  return at;
}

static void insert(uint64_t key, uint64_t value) {
  size_t at = locate(key);
  if (slots[at].key == 0) used++;
  slots[at] = (Slot){key, value};
}

static int delete(uint64_t key) {
  size_t hole = locate(key);
  if (slots[hole].key == 0) return 0;
  used--;
  for (size_t at = (hole + 1) & mask; slots[at].key != 0; at = (at + 1) & mask) {
    /* An entry may move into the hole unless its home lies after the hole on its way here. */
    size_t distance_from_home = (at - home_of(slots[at].key)) & mask;
    if (distance_from_home < ((at - hole) & mask)) continue;
    slots[hole] = slots[at];
    hole = at;
  }
  slots[hole].key = 0;
  return 1;
}

/* Different for different i, never 0: multiplication by an odd number permutes the 64-bit words. */
static uint64_t key_of(uint64_t i) { return (i + 1) * UINT64_C(0xd1342543de82ef95); }

static int guest(uint64_t scale) {
  uint64_t n = scale * 1000;
  size_t capacity = 16;
  while (capacity < 2 * n) capacity *= 2;
  mask = capacity - 1;
  slots = guest_alloc(capacity * sizeof *slots);
  memset(slots, 0, capacity * sizeof *slots);
  for (uint64_t i = 0; i < n; i++) insert(key_of(i), i);
  uint64_t found = 0, removed = 0, left = 0, wrong = 0;
  for (uint64_t i = 0; i < 2 * n; i++) {
    const Slot *slot = &slots[locate(key_of(i))];
    if (slot->key == 0) continue;
    found++;
    wrong += slot->value != i;
  }
  for (uint64_t i = 0; i < n; i += 3) removed += (uint64_t)delete(key_of(i));
  uint64_t sum = 0;
  for (uint64_t i = 0; i < n; i++) {
    const Slot *slot = &slots[locate(key_of(i))];
    if ((slot->key == 0) != (i % 3 == 0)) wrong++;
    if (slot->key != 0) sum += guest_fold(GUEST_FOLD_START, slot->value);
  }
  for (size_t i = 0; i < capacity; i++) left += slots[i].key != 0;
  out_count("found", found);
  out_count("removed", removed);
  out_count("left", left);
  out_word("checksum", sum);
  return guest_check("inserted keys found", found == n && wrong == 0) &
         guest_check("removed keys gone", removed == (n + 2) / 3 && left == n - removed && left == used);
}

GUEST_PROGRAM(6, 1000)
