/** The parts of job_validate(), for its source files alone. Each adds what it finds to the faults. */
#ifndef PROTO_JOB_CHECK_H_
#define PROTO_JOB_CHECK_H_

#include "proto/faults.h"
#include "proto/job.h"

/* Lists that are compared with each other, element by element, may not be longer. */
enum { JOB_LIST_MAX = 1000 };

/* A string that holds U+0000, as strings have it in memory. */
bool has_nul(const char *s);

bool text_in(const char *text, const char *const *list); /* Which NULL ends. */

/* For each of n names, `stride` bytes apart, the first element that has the same (itself, mostly). From malloc(); NULL
 * when memory is exhausted. */
uint32_t *first_with_name(const char *const *names, uint32_t n, size_t stride);

/* job_check_rule.c: how things are chosen and what is done about failure. */
enum rule_place { RULE_JOB, RULE_GROUP, RULE_TASK, RULE_DEVICE };
void check_constraints(struct faults *f, const struct constraint *at, uint32_t n, enum rule_place place);
void check_affinities(struct faults *f, const struct affinity *at, uint32_t n, bool is_system);
void check_spreads(struct faults *f, const struct spread *at, uint32_t n, bool is_system);
void check_restart(struct faults *f, const struct restart_policy *r);
void check_reschedule(struct faults *f, const struct reschedule_policy *r);
void check_update(struct faults *f, const struct update_strategy *u);
void check_migrate(struct faults *f, const struct migrate_strategy *m);
void check_disconnect(struct faults *f, const struct disconnect_strategy *d, const char *type);
void check_scaling(struct faults *f, const struct task_group *g);
void check_periodic(struct faults *f, const struct periodic_config *p);
void check_parameterized(struct faults *f, const struct parameterized_job *p);

/* job_check_task.c */
void check_task(struct faults *f, const struct task *t, const struct task_group *g, const struct job *job);

/* job_check_network.c: the networks of a group, and of its tasks: their ports share labels and numbers. */
void check_networks(struct faults *f, const struct task_group *g);
const struct port *find_port_label(const struct network_resource *at, uint32_t n, const char *label); /* NULL: none. */

/* job_check_service.c: services of a group, and how those of its tasks go with them; services of a task. */
void check_group_services(struct faults *f, const struct task_group *g);
void check_task_services(struct faults *f, const struct task *t, const struct task_group *g);

#endif /* PROTO_JOB_CHECK_H_ */
