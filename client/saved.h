/**
 * What a node writes down about an allocation, so that the next agent on it goes on where this one ended.
 *
 * Packed by the field tables (proto/object.h): fields are only ever appended. state.h keeps these on disk.
 */
#ifndef CLIENT_SAVED_H_
#define CLIENT_SAVED_H_

#include "proto/alloc.h"

/* Kind: a number of enum task_event_kind. */
#define SAVED_EVENT_FIELDS(X, T)                                                         \
	X(T, INT, kind, "Kind")                                                          \
	X(T, INT, time, "Time")                                                          \
	X(T, DUR, duration, "Duration")                                                  \
	X(T, STR, text, "Text")                                                          \
	X(T, INT, exit_code, "ExitCode")                                                 \
	X(T, INT, signal, "Signal")                                                      \
	X(T, BOOL, fails_task, "FailsTask")                                              \
	X(T, BOOL, oom_killed, "OOMKilled")

/* Step and Want: the names in task_runner.c, so that an agent of another version can tell them apart. Go: the Unix time
 * from which on it may have been started, of a task that is not known to run yet; 0 when it surely was not. */
#define SAVED_TASK_FIELDS(X, T)                                                          \
	X(T, STR, name, "Name")                                                          \
	X(T, STR, step, "Step")                                                          \
	X(T, STR, want, "Want")                                                          \
	X(T, BOOL, alive, "Alive")                                                       \
	X(T, BOOL, failed, "Failed")                                                     \
	X(T, BOOL, set_up, "SetUp")                                                      \
	X(T, INT, restarts, "Restarts")                                                  \
	X(T, INT, last_restart, "LastRestart")                                           \
	X(T, INT, started, "Started")                                                    \
	X(T, INT, finished, "Finished")                                                  \
	X(T, INT, interval_count, "IntervalCount")                                       \
	X(T, INT, interval_at, "IntervalAt")                                             \
	X(T, LIST(saved_event), events, "Events")                                        \
	X(T, STR, driver, "Driver")                                                      \
	X(T, BYTES, handle, "Handle")                                                    \
	X(T, BOOL, hooks_done, "HooksDone")                                            \
	X(T, INT, go, "Go")

/* Status as reported last, and what of an allocation's own life must not be decided twice. */
#define SAVED_ALLOC_FIELDS(X, T)                                                         \
	X(T, STR, id, "ID")                                                              \
	X(T, STR, client_status, "ClientStatus")                                         \
	X(T, STR, cause, "Cause")                                                        \
	X(T, INT, began, "Began")                                                        \
	X(T, OPTBOOL, healthy, "Healthy")                                                \
	X(T, INT, healthy_at, "HealthyAt")                                               \
	X(T, STR, healthy_deployment, "HealthyDeployment")                               \
	X(T, LIST(saved_task), tasks, "Tasks")                                           \
	X(T, OBJ(allocation), alloc, "Alloc")

OBJECT_DECLARE(saved_event, SAVED_EVENT_FIELDS);
OBJECT_DECLARE(saved_task, SAVED_TASK_FIELDS);
OBJECT_DECLARE(saved_alloc, SAVED_ALLOC_FIELDS);

#endif /* CLIENT_SAVED_H_ */
