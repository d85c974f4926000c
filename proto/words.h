/**
 * Texts that everybody says: a packed object may have their numbers instead (pack_encode_short()).
 *
 * What a client reports of an allocation is mostly such texts, and there may be a million of them in memory. The numbers
 * are stored in logs and snapshots: only append.
 */
#ifndef PROTO_WORDS_H_
#define PROTO_WORDS_H_

#include <stddef.h>
#include <stdint.h>

#define WORD_LIST(X)                                                                                                   \
	X("pending")                                                                                                   \
	X("running")                                                                                                   \
	X("dead")                                                                                                      \
	X("No tasks have started")                                                                                     \
	X("Tasks are running")                                                                                         \
	X("All tasks have completed")                                                                                  \
	X("Failed tasks")                                                                                              \
	X("message")                                                                                                   \
	X("Received")                                                                                                  \
	X("Task received by client")                                                                                   \
	X("Task Setup")                                                                                                \
	X("Building Task Directory")                                                                                   \
	X("Started")                                                                                                   \
	X("Task started by client")                                                                                    \
	X("Terminated")                                                                                                \
	X("Exit Code: 0")                                                                                              \
	X("Exit Code: 1")                                                                                              \
	X("exit_code")                                                                                                 \
	X("exit_message")                                                                                              \
	X("signal")                                                                                                    \
	X("oom_killed")                                                                                                \
	X("fails_task")                                                                                                \
	X("restart_reason")                                                                                            \
	X("start_delay")                                                                                               \
	X("kill_timeout")                                                                                              \
	X("kill_reason")                                                                                               \
	X("kill_error")                                                                                                \
	X("driver_error")                                                                                              \
	X("driver_message")                                                                                            \
	X("0")                                                                                                         \
	X("1")                                                                                                         \
	X("true")                                                                                                      \
	X("false")                                                                                                     \
	X("Not Restarting")                                                                                            \
	X("Restarting")                                                                                                \
	X("Policy allows no restarts")                                                                                 \
	X("Exceeded allowed attempts")                                                                                 \
	X("Restart within policy")                                                                                     \
	X("Killing")                                                                                                   \
	X("Killed")                                                                                                    \
	X("Task successfully killed")                                                                                  \
	X("Driver Failure")                                                                                            \
	X("Driver")                                                                                                    \
	X("Alloc Unhealthy")                                                                                           \
	X("Setup Failure")                                                                                             \
	X("Downloading Artifacts")                                                                                     \
	X("Client is downloading artifacts")                                                                           \
	X("Restart Signaled")                                                                                          \
	X("Task signaled to restart")                                                                                  \
	X("Signaling")                                                                                                 \
	X("Task being sent a signal")                                                                                  \
	X("Sibling Task Failed")                                                                                       \
	X("Leader Task Dead")                                                                                          \
	X("Leader Task in Group dead")                                                                                 \
	X("Main Tasks Dead")                                                                                           \
	X("Main tasks in the group died")

/* The number of a text of n bytes, from 1; 0: it is not among them. */
unsigned words_find(const char *text, size_t n);

/* NULL: there is none with this number. */
const char *words_text(int64_t number);

#endif /* PROTO_WORDS_H_ */
