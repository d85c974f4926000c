/**
 * What a job's surroundings say to its registration: asked by the command that registers, and before it by those who only
 * want to know (plans, validation).
 */
#ifndef RAFT_ADMISSION_H_
#define RAFT_ADMISSION_H_

#include "raft/command.h"
#include "raft/state.h"

enum { ADMISSION_WHY = 1024 };

/* Whether its namespace and its node pool are there. `why` is for the client, cut at the end when it is too long. */
bool admission_place(const struct view *v, const struct job_register *p, char why[ADMISSION_WHY]);

/* Whether a job's new form is of the nature of its old one: its type, and what launches it. */
bool admission_nature(const struct job_row *job, const struct job_register *p, char why[ADMISSION_WHY]);

#endif /* RAFT_ADMISSION_H_ */
