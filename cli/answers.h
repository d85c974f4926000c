/** What commands decode besides the API's own objects: lists, and what only agents tell of themselves. */
#ifndef CLI_ANSWERS_H_
#define CLI_ANSWERS_H_

#include "proto/cluster.h"
#include "proto/diff.h"

/* Lists as client_read_list() takes them. */
#define JOB_STUBS_FIELDS(X, T) X(T, LIST(job_stub), items, "Items")
#define ALLOC_STUBS_FIELDS(X, T) X(T, LIST(alloc_stub), items, "Items")
#define NODE_STUBS_FIELDS(X, T) X(T, LIST(node_stub), items, "Items")
#define EVALUATIONS_FIELDS(X, T) X(T, LIST(evaluation), items, "Items")
#define DEPLOYMENTS_FIELDS(X, T) X(T, LIST(deployment), items, "Items")
#define ALLOCATIONS_FIELDS(X, T) X(T, LIST(allocation), items, "Items")

#define MEMBER_FIELDS(X, T)                                                                                            \
	X(T, STR, name, "Name")                                                                                        \
	X(T, STR, addr, "Addr")                                                                                        \
	X(T, INT, port, "Port")                                                                                        \
	X(T, MAP, tags, "Tags")                                                                                        \
	X(T, STR, status, "Status")

#define MEMBERS_FIELDS(X, T)                                                                                           \
	X(T, STR, server_name, "ServerName")                                                                           \
	X(T, STR, server_region, "ServerRegion")                                                                       \
	X(T, STR, server_dc, "ServerDC")                                                                               \
	X(T, LIST(member), members, "Members")

/* A job as it came, whatever is in it. */
#define JOB_FILE_FIELDS(X, T) X(T, ANY, job, "Job")

#define JOB_SOURCE_FIELDS(X, T)                                                                                        \
	X(T, STR, hcl, "JobHCL")                                                                                       \
	X(T, STR, variables, "Variables", .omit = true)                                                                \
	X(T, BOOL, canonicalize, "Canonicalize")

#define JOB_VALIDATED_FIELDS(X, T)                                                                                     \
	X(T, STR, error, "Error")                                                                                      \
	X(T, STR, warnings, "Warnings")

#define JOB_PLANNED_FIELDS(X, T)                                                                                       \
	X(T, OBJ(plan_annotations), annotations, "Annotations")                                                        \
	X(T, OBJMAP(alloc_metric), failed, "FailedTGAllocs")                                                           \
	X(T, INT, job_modify_index, "JobModifyIndex")                                                                  \
	X(T, OBJ(job_diff), diff, "Diff")                                                                              \
	X(T, STR, warnings, "Warnings")

#define AGENT_STATS_FIELDS(X, T) X(T, MAP, client, "client")
#define AGENT_SELF_FIELDS(X, T) X(T, OBJ(agent_stats), stats, "stats")

OBJECT_DECLARE(job_stubs, JOB_STUBS_FIELDS);
OBJECT_DECLARE(alloc_stubs, ALLOC_STUBS_FIELDS);
OBJECT_DECLARE(node_stubs, NODE_STUBS_FIELDS);
OBJECT_DECLARE(evaluations, EVALUATIONS_FIELDS);
OBJECT_DECLARE(deployments, DEPLOYMENTS_FIELDS);
OBJECT_DECLARE(allocations, ALLOCATIONS_FIELDS);
OBJECT_DECLARE(member, MEMBER_FIELDS);
OBJECT_DECLARE(members, MEMBERS_FIELDS);
OBJECT_DECLARE(job_file, JOB_FILE_FIELDS);
OBJECT_DECLARE(job_source, JOB_SOURCE_FIELDS);
OBJECT_DECLARE(job_validated, JOB_VALIDATED_FIELDS);
OBJECT_DECLARE(job_planned, JOB_PLANNED_FIELDS);
OBJECT_DECLARE(agent_stats, AGENT_STATS_FIELDS);
OBJECT_DECLARE(agent_self, AGENT_SELF_FIELDS);

#endif /* CLI_ANSWERS_H_ */
