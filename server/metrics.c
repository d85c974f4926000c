#include "server/metrics.h"

#include "server/leader.h"

/* Where Nomad has the same number it has the same name. */
#define LEADER_METRICS(X)                                                                                              \
	X("nomad.broker.total_ready", GAUGE, l->broker.count[BROKER_READY])                                            \
	X("nomad.broker.total_unacked", GAUGE, l->broker.count[BROKER_UNACKED])                                        \
	X("nomad.broker.total_pending", GAUGE, l->broker.count[BROKER_WAITING])                                        \
	X("nomad.broker.total_waiting", GAUGE, l->broker.count[BROKER_DELAYED])                                        \
	X("nomad.broker.total_retry", GAUGE, l->broker.count[BROKER_RETRY])                                            \
	X("nomad.broker.total_failed", GAUGE, l->broker.count[BROKER_FAILED])                                          \
	X("nomad.broker.total_cancelable", GAUGE, l->broker.count[BROKER_CANCEL])                                      \
	X("nomad.broker.service_ready", GAUGE, l->broker.count_type[JOB_TYPE_SERVICE])                                 \
	X("nomad.broker.batch_ready", GAUGE, l->broker.count_type[JOB_TYPE_BATCH])                                     \
	X("nomad.broker.system_ready", GAUGE, l->broker.count_type[JOB_TYPE_SYSTEM])                                   \
	X("nomad.broker.sysbatch_ready", GAUGE, l->broker.count_type[JOB_TYPE_SYSBATCH])                               \
	X("nomad.broker.delivered", COUNTER, l->broker.delivered)                                                      \
	X("nomad.broker.acked", COUNTER, l->broker.acked)                                                              \
	X("nomad.broker.nacked", COUNTER, l->broker.nacked)                                                            \
	X("nomad.broker.timed_out", COUNTER, l->broker.timed_out)                                                      \
	X("nomad.blocked_evals.total_blocked", GAUGE, l->blocked.n_blocked)                                            \
	X("nomad.blocked_evals.total_escaped", GAUGE, l->blocked.n_escaped)                                            \
	X("nomad.blocked_evals.total_released", GAUGE, l->blocked.n_released)                                          \
	X("nomad.blocked_evals.total_quota_limit", GAUGE, 0)                                                           \
	X("nomad.plan.queue_depth", GAUGE, applier_depth(&l->applier))                                                 \
	X("nomad.plan.submitted", COUNTER, l->applier.stats.plans)                                                     \
	X("nomad.plan.chunks", COUNTER, l->applier.stats.chunks)                                                       \
	X("nomad.plan.placed", COUNTER, l->applier.stats.placed)                                                       \
	X("nomad.plan.refused", COUNTER, l->applier.stats.refused)                                                     \
	X("nomad.plan.rejected", COUNTER, l->applier.stats.rejected)                                                   \
	X("nomad.plan.partial", COUNTER, l->applier.stats.partial)                                                     \
	X("nomad.heartbeat.active", GAUGE, heartbeat_active(&l->heartbeat))                                            \
	X("nomad.heartbeat.received", COUNTER, l->heartbeat.beats)                                                     \
	X("nomad.heartbeat.invalidate", COUNTER, l->heartbeat.expired)                                                 \
	X("nomad.periodic.tracked", GAUGE, l->periodic.by_key.n)                                                       \
	X("nomad.periodic.launched", COUNTER, l->periodic.launched)                                                    \
	X("nomad.periodic.overlapped", COUNTER, l->periodic.overlapped)                                                \
	X("nomad.periodic.refused", COUNTER, l->periodic.refused)                                                      \
	X("nomad.deployments.active", GAUGE, deploy_active(&l->deploy))                                                \
	X("nomad.deployments.successful", COUNTER, l->deploy.successful)                                               \
	X("nomad.deployments.failed", COUNTER, l->deploy.failed)                                                       \
	X("nomad.deployments.promoted", COUNTER, l->deploy.promoted)                                                   \
	X("nomad.deployments.evaluations", COUNTER, l->deploy.evals)                                                   \
	X("nomad.drain.active", GAUGE, drain_active(&l->drain))                                                        \
	X("nomad.drain.migrated", COUNTER, l->drain.migrated)                                                          \
	X("nomad.drain.completed", COUNTER, l->drain.completed)                                                        \
	X("nomad.gc.collections", COUNTER, l->gc.collections)                                                          \
	X("nomad.gc.allocs", COUNTER, l->gc.allocs)                                                                    \
	X("nomad.gc.evals", COUNTER, l->gc.evals)                                                                      \
	X("nomad.gc.deployments", COUNTER, l->gc.deployments)                                                          \
	X("nomad.gc.jobs", COUNTER, l->gc.jobs)                                                                        \
	X("nomad.gc.nodes", COUNTER, l->gc.nodes)                                                                      \
	X("nomad.leader.commands", GAUGE, l->ops.n)

size_t leader_metrics(const struct leader *l, struct metric *out, size_t max)
{
	const struct metric all[] = {
#define X(name, kind, value) {name, METRIC_##kind, (double)(value)},
		LEADER_METRICS(X)
#undef X
	};
	size_t n = sizeof(all) / sizeof(all[0]);
	size_t i;

	for (i = 0; i < n && i < max; i++) {
		out[i] = all[i];
	}
	return n;
}
