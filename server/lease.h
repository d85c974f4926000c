/**
 * Whether a leader may answer what is read without asking the others, or another may have been elected behind its back.
 *
 * A follower votes for nobody until an election timeout after it has last heard of its leader, nor does one that was just
 * started. So if a majority, this server counted, has answered what we sent less than that ago, no other leader can have
 * been elected yet. It is the time at which we sent that counts (raft/io.c, stamps): when the answer came says nothing,
 * as it may have waited on disks, on wires, or for this process to go on. A tenth is left for clocks that do not run
 * alike.
 *
 * Where the lease does not hold, a barrier is proved through the log: its entry must be stored by a majority. Reads with
 * ?consistent take a barrier always, and so do not depend on any clock.
 */
#ifndef SERVER_LEASE_H_
#define SERVER_LEASE_H_

#include <stdint.h>

/* Until when it holds; 0: it does not. Times are monotonic milliseconds. `sent_ms` has for each of the `n` voters when the
 * newest message was sent that it has answered: now for this server itself, 0 for one that has answered none. Its order
 * is changed. */
uint64_t lease_until(unsigned election_ms, uint64_t *sent_ms, unsigned n);

#endif /* SERVER_LEASE_H_ */
