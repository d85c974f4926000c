/* What goes wrong, and when. Each seed has a few kinds of trouble; each begins at some moment and passes. */
#include "test/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "server/core.h"
#include "server/shell.h"

static int64_t until;
static unsigned kinds; /* A bit for each kind that this seed has. */

static struct host *some_host(void)
{
	return &sim.hosts[sim_below(sim.n_hosts)];
}

static struct host *some_alive(void)
{
	struct host *h = some_host();
	struct host *leader = host_leader();

	return leader != NULL && sim_chance(400) ? leader : h;
}

/* ---- the network ---- */

static void heal_net(void *arg)
{
	(void)arg;
	memset(net_faults.cut, 0, sizeof(net_faults.cut));
	sim_say("the network is whole");
}

static void cut_between(unsigned side, bool both)
{
	for (unsigned a = 0; a < sim.n_hosts; a++) {
		for (unsigned b = 0; b < sim.n_hosts; b++) {
			if ((side >> a & 1) != 0 && (side >> b & 1) == 0) {
				net_faults.cut[a][b] = true;
				net_faults.cut[b][a] = net_faults.cut[b][a] || both;
			}
		}
	}
}

static unsigned some_side(void)
{
	if (sim_chance(500)) {
		return 1U << some_alive()->at;
	}
	return (unsigned)sim_below(1U << sim.n_hosts);
}

static void partition(void)
{
	unsigned side = some_side();

	COUNT(partitions);
	sim_say("the network is cut: %x", side);
	cut_between(side, true);
	sim_at(sim.now + sim_between(200 * MS, 5 * SEC), NULL, heal_net, NULL);
}

static void one_way(void)
{
	unsigned side = some_side();

	COUNT(oneway);
	sim_say("nothing leaves: %x", side);
	cut_between(side, false);
	sim_at(sim.now + sim_between(200 * MS, 5 * SEC), NULL, heal_net, NULL);
}

static unsigned flap_side, flaps_left;

static void flap(void *arg)
{
	(void)arg;
	if (flaps_left-- == 0 || sim.now > until) {
		flaps_left = 0;
		heal_net(NULL);
		return;
	}
	if (flaps_left % 2 == 1) {
		cut_between(flap_side, true);
	} else {
		heal_net(NULL);
	}
	sim_at(sim.now + sim_between(50 * MS, 800 * MS), NULL, flap, NULL);
}

static void flapping(void)
{
	if (flaps_left == 0) {
		COUNT(flaps);
		flap_side = some_side();
		flaps_left = 3 + (unsigned)sim_below(8);
		flap(NULL);
	}
}

/* ---- processes ---- */

static void start_again(void *arg)
{
	struct host *h = arg;

	if (!h->alive && h->member) {
		host_start(h);
		if (!h->alive) {
			sim_at(sim.now + SEC, NULL, start_again, h);
		}
	}
}

static void start_later(struct host *h)
{
	sim_at(sim.now + sim_between(50 * MS, 3 * SEC), NULL, start_again, h);
}

static void kill_process(void)
{
	struct host *h = some_alive();

	if (h->alive) {
		COUNT(kills);
		host_kill(h, false);
		start_later(h);
	}
}

static void cut_power(void)
{
	struct host *h = some_alive();

	if (h->alive) {
		COUNT(power_cuts);
		host_kill(h, true);
		start_later(h);
	}
}

static void cut_all_power(void)
{
	for (unsigned i = 0; i < sim.n_hosts; i++) {
		if (sim.hosts[i].alive) {
			COUNT(power_cuts);
			host_kill(&sim.hosts[i], true);
			start_later(&sim.hosts[i]);
		}
	}
}

static void stop_process(void)
{
	struct host *h = some_alive();

	if (h->alive && !h->ending) {
		COUNT(stops);
		host_stop(h);
	}
}

static void freeze(void)
{
	struct host *h = some_alive();

	if (h->alive) {
		COUNT(freezes);
		h->frozen_until = sim.now + sim_between(100 * MS, 4 * SEC);
		sim_say("server %u stands still", h->at + 1);
	}
}

/* Whoever is down for whatever reason comes back. */
static void supervise(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < sim.n_hosts; i++) {
		struct host *h = &sim.hosts[i];

		if (!h->alive && h->member && sim_chance(300)) {
			start_again(h);
		}
	}
	sim_at(sim.now + SEC, NULL, supervise, NULL);
}

/* ---- disks ---- */

static void heal_disk(void *arg)
{
	struct host *h = arg;

	h->disk_slow = 0;
	fs_fill(h->fs, false);
}

static void slow_disk(void)
{
	struct host *h = some_alive();

	COUNT(slow_disks);
	h->disk_slow = sim_between(10, 300);
	sim_say("the disk of server %u is slow", h->at + 1);
	sim_at(sim.now + sim_between(500 * MS, 5 * SEC), NULL, heal_disk, h);
}

static void fill_disk(void)
{
	struct host *h = some_alive();

	COUNT(full_disks);
	sim_say("the disk of server %u is full", h->at + 1);
	fs_fill(h->fs, true);
	sim_at(sim.now + sim_between(SEC, 8 * SEC), NULL, heal_disk, h);
}

static void spoil_disk(void)
{
	fs_spoil(some_alive()->fs);
}

/* ---- clocks ---- */

static void jump_clock(void)
{
	struct host *h = some_alive();

	COUNT(clock_jumps);
	h->wall_jump_ns += sim_between(-3600 * SEC, 3600 * SEC);
}

/* ---- snapshots, leadership ---- */

static void take_snapshot(void)
{
	struct host *h = some_alive();

	if (h->alive && !h->ending) {
		COUNT(snapshots);
		replica_snapshot(h->server->replica);
		loop_wake(h, sim.now);
	}
}

static void transfer(void)
{
	struct host *h = host_leader();

	if (h != NULL && !h->ending) {
		sim.cur = h;
		if (replica_transfer(h->server->replica, 0, NULL, NULL) == 0) {
			COUNT(transfers);
		}
		loop_wake(h, sim.now);
		sim.cur = NULL;
	}
}

/* ---- the list ---- */

/* How often, in comparison; a core part of each seed, or of some. */
#define FAULT_LIST(X)                                                                                                  \
	X(partition, 3) X(one_way, 2) X(flapping, 1) X(kill_process, 3) X(cut_power, 3) X(cut_all_power, 1)            \
	X(stop_process, 1) X(freeze, 2) X(slow_disk, 1) X(fill_disk, 1) X(spoil_disk, 1) X(jump_clock, 1)              \
	X(take_snapshot, 2) X(transfer, 1) X(node_fault, 2) X(members_wipe, 2) X(members_change, 2)

static const struct {
	void (*begin)(void);
	unsigned weight;
} faults[] = {
#define X(name, weight) {name, weight},
	FAULT_LIST(X)
#undef X
};

enum { N_FAULTS = sizeof(faults) / sizeof(faults[0]) };

static void some_fault(void)
{
	unsigned total = 0, pick;

	for (unsigned i = 0; i < N_FAULTS; i++) {
		total += (kinds >> i & 1) != 0 ? faults[i].weight : 0;
	}
	pick = (unsigned)sim_below(total);
	for (unsigned i = 0; i < N_FAULTS; i++) {
		unsigned weight = (kinds >> i & 1) != 0 ? faults[i].weight : 0;

		if (pick < weight) {
			faults[i].begin();
			return;
		}
		pick -= weight;
	}
}

static void on_fault(void *arg)
{
	(void)arg;
	if (sim.now < until) {
		some_fault();
		sim_at(sim.now + sim_between(50 * MS, 1200 * MS), NULL, on_fault, NULL);
	}
}

/* A wire with its own ways, for the whole of a seed. */
static void choose_net(void)
{
	net_faults.delay = sim_between(50 * US, 2 * MS);
	net_faults.jitter = sim_between(50 * US, sim_chance(200) ? 40 * MS : 2 * MS);
	if (sim_chance(300)) {
		net_faults.loss = (unsigned)sim_below(80);
	}
	if (sim_chance(300)) {
		net_faults.late = (unsigned)sim_below(50);
	}
	if (sim_chance(200)) {
		net_faults.reorder = 300;
	}
	if (sim_chance(200)) {
		net_faults.twice = (unsigned)sim_below(30);
	}
}

void faults_begin(int64_t end)
{
	until = end;
	kinds = 0;
	while (kinds == 0) {
		kinds = (unsigned)sim_below(1U << N_FAULTS);
	}
	choose_net();
	for (unsigned i = 0; i < sim.n_hosts; i++) {
		if (sim_chance(300)) {
			COUNT(drifts);
			sim.hosts[i].drift_ppm = sim_between(-2000, 2000);
		}
	}
	sim_say("loss %u, twice %u, reordered %u, late %u, delay %.1f + %.1f ms, kinds %x", net_faults.loss,
		net_faults.twice, net_faults.reorder, net_faults.late, (double)net_faults.delay / MS,
		(double)net_faults.jitter / MS, kinds);
	sim_at(2 * SEC, NULL, on_fault, NULL);
	sim_at(2 * SEC, NULL, supervise, NULL);
}

void faults_heal(void)
{
	heal_net(NULL);
	net_faults.loss = net_faults.twice = net_faults.reorder = net_faults.late = 0;
	for (unsigned i = 0; i < sim.n_hosts; i++) {
		struct host *h = &sim.hosts[i];

		heal_disk(h);
		if (!h->alive && h->member) {
			start_again(h);
		}
	}
}
