/*
 * Gravitation of one heavy and four light bodies, leapfrog integration (kick, drift, kick) in doubles with square
 * root and division. Scale: hundreds of steps.
 * Check: leapfrog keeps the energy within a bound and the momentum at its start value of zero.
 */
#include "guest.h"

#define BODIES 5
#define STEP 0x1p-10

typedef struct {
  double x, y, z, vx, vy, vz, mass;
} Body;

static Body bodies[BODIES];

/* Circular orbits about a body of mass 1 with G = 1. Directions are Pythagorean fractions: no sine needed. */
static void place(void) {
  static const double direction[BODIES - 1][3] = {{3, 4, 5}, {-5, 12, 13}, {-15, -8, 17}, {7, -24, 25}};
  Body *sun = &bodies[0];
  *sun = (Body){0, 0, 0, 0, 0, 0, 1};
  for (int i = 1; i < BODIES; i++) {
    double radius = 0.5 + 0.75 * i, speed = __builtin_sqrt(1 / radius), mass = 0.0005 * i;
    double c = direction[i - 1][0] / direction[i - 1][2], s = direction[i - 1][1] / direction[i - 1][2];
    bodies[i] = (Body){radius * c, radius * s, 0.01 * i, -speed * s, speed * c, 0.002 * i, mass};
    sun->vx -= bodies[i].vx * mass, sun->vy -= bodies[i].vy * mass, sun->vz -= bodies[i].vz * mass;
  }
}

static void kick(double time) {
  for (int i = 0; i < BODIES; i++) {
    Body *a = &bodies[i];
    for (int j = i + 1; j < BODIES; j++) {
      Body *b = &bodies[j];
      double dx = b->x - a->x, dy = b->y - a->y, dz = b->z - a->z;
      double square = dx * dx + dy * dy + dz * dz;
      double pull = time / (square * __builtin_sqrt(square));
      a->vx += dx * (pull * b->mass), a->vy += dy * (pull * b->mass), a->vz += dz * (pull * b->mass);
      b->vx -= dx * (pull * a->mass), b->vy -= dy * (pull * a->mass), b->vz -= dz * (pull * a->mass);
    }
  }
}

static void drift(double time) {
  for (int i = 0; i < BODIES; i++) {
    Body *a = &bodies[i];
    a->x += time * a->vx, a->y += time * a->vy, a->z += time * a->vz;
  }
}

static double energy(void) {
  double sum = 0;
  for (int i = 0; i < BODIES; i++) {
    const Body *a = &bodies[i];
    sum += 0.5 * a->mass * (a->vx * a->vx + a->vy * a->vy + a->vz * a->vz);
    for (int j = i + 1; j < BODIES; j++) {
      const Body *b = &bodies[j];
      double dx = b->x - a->x, dy = b->y - a->y, dz = b->z - a->z;
      sum -= a->mass * b->mass / __builtin_sqrt(dx * dx + dy * dy + dz * dz);
    }
  }
  return sum;
}

static double magnitude(double value) { return value < 0 ? -value : value; }

static int guest(uint64_t scale) {
  place();
  double start = energy();
  for (uint64_t step = 0; step < scale * 100; step++) {
    kick(STEP / 2);
    drift(STEP);
    kick(STEP / 2);
  }
  double end = energy(), px = 0, py = 0, pz = 0;
  for (int i = 0; i < BODIES; i++) {
    const Body *a = &bodies[i];
    px += a->mass * a->vx, py += a->mass * a->vy, pz += a->mass * a->vz;
  }
  out_double("energy at start", start);
  out_double("energy at end", end);
  out_double("first x", bodies[1].x);
  out_double("last y", bodies[BODIES - 1].y);
  int kept = magnitude(end - start) <= 1e-7 * magnitude(start);
  int still = magnitude(px) <= 1e-12 && magnitude(py) <= 1e-12 && magnitude(pz) <= 1e-12;
  return guest_check("energy", kept) & guest_check("momentum", still);
}

GUEST_PROGRAM(8, 2000)
