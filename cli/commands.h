/** The list of all commands, in the order in which help shows them. */
#ifndef CLI_COMMANDS_H_
#define CLI_COMMANDS_H_

#include "cli/command.h"

/* X(variable, is common): each is defined in the file of its group, cli/cmd_GROUP.c. */
#define COMMAND_LIST(X)                                                                                                \
	X(agent, true)                                                                                                 \
	X(alloc_logs, true)                                                                                            \
	X(alloc_status, false)                                                                                         \
	X(config_validate, false)                                                                                      \
	X(eval_status, false)                                                                                          \
	X(job_plan, false)                                                                                             \
	X(job_run, true)                                                                                               \
	X(job_status, false)                                                                                           \
	X(job_stop, true)                                                                                              \
	X(job_validate, false)                                                                                         \
	X(node_status, false)                                                                                          \
	X(operator_api, false)                                                                                         \
	X(operator_autopilot_get_config, false)                                                                        \
	X(operator_autopilot_health, false)                                                                            \
	X(operator_autopilot_set_config, false)                                                                        \
	X(operator_raft_list_peers, false)                                                                             \
	X(operator_raft_remove_peer, false)                                                                            \
	X(operator_raft_transfer_leadership, false)                                                                    \
	X(operator_snapshot_inspect, false)                                                                            \
	X(operator_snapshot_restore, false)                                                                            \
	X(operator_snapshot_save, false)                                                                               \
	X(server_force_leave, false)                                                                                   \
	X(server_join, false)                                                                                          \
	X(server_members, false)                                                                                       \
	X(status, true)                                                                                                \
	X(system_gc, false)                                                                                            \
	X(version, false)

#define X(name, common) extern const struct command command_##name;
COMMAND_LIST(X)
#undef X

/* Short for a longer name. */
#define ALIAS_LIST(X)                                                                                                  \
	X("plan", "job plan")                                                                                          \
	X("run", "job run")                                                                                            \
	X("stop", "job stop")                                                                                          \
	X("validate", "job validate")                                                                                  \
	X("logs", "alloc logs")                                                                                        \
	X("node-status", "node status")                                                                                \
	X("alloc-status", "alloc status")                                                                              \
	X("eval-status", "eval status")                                                                                \
	X("server-members", "server members")

/* The first words of names, for help. */
#define GROUP_LIST(X)                                                                                                  \
	X("alloc", "Interact with allocations")                                                                        \
	X("config", "Interact with configurations")                                                                    \
	X("eval", "Interact with evaluations")                                                                         \
	X("job", "Interact with jobs")                                                                                 \
	X("node", "Interact with nodes")                                                                               \
	X("operator", "Tools for operators")                                                                           \
	X("server", "Interact with servers")                                                                           \
	X("system", "Interact with the system API")

#endif /* CLI_COMMANDS_H_ */
