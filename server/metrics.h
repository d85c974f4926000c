/** Numbers for those who watch a server: names and values, from one list for each source. */
#ifndef SERVER_METRICS_H_
#define SERVER_METRICS_H_

#include <stddef.h>

enum metric_kind { METRIC_GAUGE, METRIC_COUNTER };

/* The name is without the prefix of the service: Nomad's own "nomad.broker.total_ready" is told as
 * "nomad.nomad.broker.total_ready". */
struct metric {
	const char *name;
	enum metric_kind kind;
	double value;
};

struct leader;

/* Write at most `max` metrics of the leader's work to `out`; returns how many there are. On the leader's thread. All
 * gauges are zero on a server that does not lead. */
size_t leader_metrics(const struct leader *l, struct metric *out, size_t max);

#endif /* SERVER_METRICS_H_ */
