/**
 * What libraft 0.22.1 gets wrong about messages between servers, put right before it gets them and when it gives them.
 *
 * It supposes that what a leader sends comes once and in its order. On one connection it does; but a connection that is
 * lost is followed by another, and what is left in the old one's buffers may come last.
 *
 *  - Entries below our snapshot. A leader whose log begins earlier may send them, if it was told that we have little.
 *    libraft does not know that it has them, appends them to nothing, and breaks its log. All that a snapshot holds is
 *    committed, so any leader has the same entries: they are skipped.
 *  - The answer to entries of an ended term. Its last index is whatever was on the stack; the leader looks at it if it
 *    has been elected again in the term of the answer, and with no entry before the message the answer even says
 *    that all is well. So it is made to refuse, and the index is filled in.
 *  - The commit index goes back when a leader sends old entries again.
 *  - A configuration among other entries. libraft notes it under the index of the first entry of the message, so it
 *    never learns that it was committed; and when this server leads, it refuses all further changes. So a message is
 *    split before each configuration.
 *  - The answer to a candidate of an ended term that only asks how a vote would go. libraft says the candidate's own
 *    term, so it never learns of ours. If its log is the better one, and nobody else is there, no leader is ever
 *    elected.
 *
 *  - Handing leadership on while entries are on their way to the one that is to take it. libraft asks it to with the first
 *    answer that says that some of them have come, and then never again; but the other one does nothing as long as it lacks
 *    an entry. So an election timeout passes in which nothing is accepted.
 *
 * And two about requests of our own:
 *
 *  - A server that is elected while the disks of most are full. libraft fails to append its barrier, and stops in the
 *    middle: it leads, but the part of it that keeps the requests does not know. When it ceases to lead, they are not
 *    ended, and each waits for any entry of its index, as in the next case.
 *  - A request in whose step this server ceases to lead. libraft tells those that wait that leadership is lost, and only
 *    then lets this one wait: until any entry of its index is committed, whoever made that, and then it says that all
 *    went well.
 *
 * Pure: used by io.c and the replica.
 */
#ifndef RAFT_MEND_H_
#define RAFT_MEND_H_

#include <raft.h>
#include <stdbool.h>

/* Before libraft gets it. May free entries. */
void mend_append(const struct raft *raft, struct raft_append_entries *a);

/* Drop all entries: what is left is a message that says that the leader is there. */
void mend_drop_entries(struct raft_append_entries *a);

/* If a configuration stands behind other entries: `m` keeps what is before it, and `rest` gets a message, to be given
 * to libraft after `m`, with it and what follows. False: there is none, or no memory, and then nothing is lost, as the
 * entries are sent again. */
bool mend_split(struct raft_append_entries *a, struct raft_append_entries *rest);

/* Of a leader, before it accepts requests. */
void mend_leader(struct raft *raft);

/* After a request was accepted, of the server's leader: `queue` is its own. True: it is such a one, and waits no more;
 * whether its entry will be committed is unknown, and its callback is not called. */
bool mend_request(const struct raft *raft, void *queue[2]);

/* When the message that asks another server to take leadership is sent, which has stored so much: whether it was asked too
 * early, and so will be once more. */
bool mend_transfer(struct raft *raft, const struct raft_timeout_now *m, raft_index match);

/* Before it is sent. */
void mend_answer(const struct raft *raft, struct raft_append_entries_result *result);
void mend_vote(const struct raft *raft, struct raft_request_vote_result *result);

#endif /* RAFT_MEND_H_ */
