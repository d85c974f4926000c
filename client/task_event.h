/**
 * What happened to a task: the events that the API shows, kept small.
 *
 * A node remembers up to ten events for each of its tasks, so an event here is one short record with at most one text.
 * Its API form, with the many mostly empty fields, the Details and the sentence for people, is made when somebody is
 * told: every kind is one line of TASK_EVENT_LIST, from which all that follows.
 *
 * The numbers of the kinds are stored in the node's local state: lines are only appended.
 */
#ifndef CLIENT_TASK_EVENT_H_
#define CLIENT_TASK_EVENT_H_

#include <stdbool.h>
#include <stdint.h>

#include "lib/arena.h"
#include "proto/alloc.h"

/* X(id, type in the API, where in struct task_event the text goes, its key in Details, the sentence when there is no
 * text). Kinds whose sentence depends on more than the text have a function of their own in task_event.c. */
#define TASK_EVENT_LIST(X)                                                                                             \
	X(RECEIVED, "Received", IN(message), "message", "Task received by client")                                     \
	X(SETUP, "Task Setup", IN(message), "message", "")                                                             \
	X(SETUP_FAILURE, "Setup Failure", IN(setup_error), "setup_error", "Task setup failed")                         \
	X(DOWNLOADING, "Downloading Artifacts", IN(message), "message", "Client is downloading artifacts")             \
	X(DOWNLOAD_FAILED, "Failed Artifact Download", IN(download_error), "download_error", "Failed to download artifacts") \
	X(VALIDATION_FAILED, "Failed Validation", IN(validation_error), "validation_error", "Validation of task failed") \
	X(HOOK_FAILED, "Task hook failed", IN(message), "message", "")                                                 \
	X(HOOK_MESSAGE, "Task hook message", IN(message), "message", "")                                               \
	X(DRIVER_FAILURE, "Driver Failure", IN(driver_error), "driver_error", "Failed to start task")                  \
	X(DRIVER_MESSAGE, "Driver", IN(driver_message), "driver_message", "")                                          \
	X(STARTED, "Started", IN(message), "message", "Task started by client")                                        \
	X(TERMINATED, "Terminated", IN(message), "exit_message", "")                                                   \
	X(RESTARTING, "Restarting", IN(restart_reason), "restart_reason", "")                                          \
	X(NOT_RESTARTING, "Not Restarting", IN(restart_reason), "restart_reason", "Task exceeded restart policy")      \
	X(RESTART_SIGNALED, "Restart Signaled", IN(restart_reason), "restart_reason", "Task signaled to restart")      \
	X(SIGNALING, "Signaling", NOWHERE, "signal", "Task being sent a signal")                                       \
	X(WAITING_DELAY, "Waiting for shutdown delay", NOWHERE, "", "")                                                \
	X(SKIPPING_DELAY, "Skipping shutdown delay", NOWHERE, "", "")                                                  \
	X(KILLING, "Killing", IN(kill_reason), "kill_reason", "")                                                      \
	X(KILLED, "Killed", IN(kill_error), "kill_error", "Task successfully killed")                                  \
	X(SIBLING_FAILED, "Sibling Task Failed", IN(failed_sibling), "failed_sibling", "Task's sibling failed")        \
	X(LEADER_DEAD, "Leader Task Dead", NOWHERE, "", "Leader Task in Group dead")                                   \
	X(MAIN_DEAD, "Main Tasks Dead", NOWHERE, "", "Main tasks in the group died")                                   \
	X(RESTORE_FAILED, "Failed Restoring Task", IN(message), "message", "")                                         \
	X(UNHEALTHY, "Alloc Unhealthy", IN(message), "message", "")                                                    \
	X(TEMPLATE, "Template", IN(message), "message", "")                                                            \
	X(RERENDERED, "Signaling", IN(task_signal), "task_signal", "Template re-rendered")                             \
	X(RECONNECTED, "Reconnected", NOWHERE, "", "Client reconnected")

enum task_event_kind {
#define X(id, type, field, key, sentence) TASK_EVENT_##id,
	TASK_EVENT_LIST(X)
#undef X
	TASK_EVENT_COUNT
};

enum { TASK_EVENTS_KEPT = 10 };

struct task_record {
	int64_t time_ns;     /* Unix time; never before the record's predecessor. */
	int64_t duration_ns; /* KILLING: the kill timeout; RESTARTING: the delay; *_DELAY: the delay. */
	char *text;          /* From malloc(); NULL when there is none. */
	int exit_code, signal;
	uint8_t kind;
	bool fails_task, oom_killed;
};

/* The latest records of a task, oldest first. All zero is an empty log. */
struct task_log {
	struct task_record at[TASK_EVENTS_KEPT];
	uint32_t n;
};

void task_log_close(struct task_log *log);

/* Append a record, dropping the oldest when there are ten. `record.text` is copied (NULL and "" are none); a time
 * before the last record's becomes that. A text that no memory can be had for is lost, the record is not. */
void task_log_add(struct task_log *log, struct task_record record);

/* The latest record of that kind, or NULL. */
const struct task_record *task_log_last(const struct task_log *log, enum task_event_kind kind);

/* The API form in memory of `mem`: 0 or ERR_NOMEM. */
int task_record_render(const struct task_record *record, struct task_event *out, struct arena *mem);

/* The kind's name in the API. */
const char *task_record_type(enum task_event_kind kind);

#endif /* CLIENT_TASK_EVENT_H_ */
