#include "proto/job.h"

#include <string.h>

OBJECT_DEFINE(constraint, CONSTRAINT_FIELDS);
OBJECT_DEFINE(affinity, AFFINITY_FIELDS);
OBJECT_DEFINE(spread_target, SPREAD_TARGET_FIELDS);
OBJECT_DEFINE(spread, SPREAD_FIELDS);
OBJECT_DEFINE(restart_policy, RESTART_POLICY_FIELDS);
OBJECT_DEFINE(reschedule_policy, RESCHEDULE_POLICY_FIELDS);
OBJECT_DEFINE(ephemeral_disk, EPHEMERAL_DISK_FIELDS);
OBJECT_DEFINE(update_strategy, UPDATE_STRATEGY_FIELDS);
OBJECT_DEFINE(migrate_strategy, MIGRATE_STRATEGY_FIELDS);
OBJECT_DEFINE(disconnect_strategy, DISCONNECT_STRATEGY_FIELDS);
OBJECT_DEFINE(dns_config, DNS_CONFIG_FIELDS);
OBJECT_DEFINE(port, PORT_FIELDS);
OBJECT_DEFINE(cni_config, CNI_CONFIG_FIELDS);
OBJECT_DEFINE(network_resource, NETWORK_RESOURCE_FIELDS);
OBJECT_DEFINE(device_request, DEVICE_REQUEST_FIELDS);
OBJECT_DEFINE(numa_request, NUMA_REQUEST_FIELDS);
OBJECT_DEFINE(resources, RESOURCES_FIELDS);
OBJECT_DEFINE(log_config, LOG_CONFIG_FIELDS);
OBJECT_DEFINE(artifact, ARTIFACT_FIELDS);
OBJECT_DEFINE(change_script, CHANGE_SCRIPT_FIELDS);
OBJECT_DEFINE(wait_config, WAIT_CONFIG_FIELDS);
OBJECT_DEFINE(template, TEMPLATE_FIELDS);
OBJECT_DEFINE(vault, VAULT_FIELDS);
OBJECT_DEFINE(consul, CONSUL_FIELDS);
OBJECT_DEFINE(dispatch_payload, DISPATCH_PAYLOAD_FIELDS);
OBJECT_DEFINE(lifecycle, LIFECYCLE_FIELDS);
OBJECT_DEFINE(csi_plugin, CSI_PLUGIN_FIELDS);
OBJECT_DEFINE(volume_mount, VOLUME_MOUNT_FIELDS);
OBJECT_DEFINE(scaling_policy, SCALING_POLICY_FIELDS);
OBJECT_DEFINE(workload_identity, WORKLOAD_IDENTITY_FIELDS);
OBJECT_DEFINE(action, ACTION_FIELDS);
OBJECT_DEFINE(secret_request, SECRET_REQUEST_FIELDS);
OBJECT_DEFINE(schedule_cron, SCHEDULE_CRON_FIELDS);
OBJECT_DEFINE(task_schedule, TASK_SCHEDULE_FIELDS);
OBJECT_DEFINE(check_restart, CHECK_RESTART_FIELDS);
OBJECT_DEFINE(service_check, SERVICE_CHECK_FIELDS);
OBJECT_DEFINE(service, SERVICE_FIELDS);
OBJECT_DEFINE(task, TASK_FIELDS);
OBJECT_DEFINE(mount_options, MOUNT_OPTIONS_FIELDS);
OBJECT_DEFINE(volume_request, VOLUME_REQUEST_FIELDS);
OBJECT_DEFINE(task_group, TASK_GROUP_FIELDS);
OBJECT_DEFINE(periodic_config, PERIODIC_CONFIG_FIELDS);
OBJECT_DEFINE(parameterized_job, PARAMETERIZED_JOB_FIELDS);
OBJECT_DEFINE(multiregion_strategy, MULTIREGION_STRATEGY_FIELDS);
OBJECT_DEFINE(multiregion_region, MULTIREGION_REGION_FIELDS);
OBJECT_DEFINE(multiregion, MULTIREGION_FIELDS);
OBJECT_DEFINE(job_ui_link, JOB_UI_LINK_FIELDS);
OBJECT_DEFINE(job_ui, JOB_UI_FIELDS);
OBJECT_DEFINE(version_tag, VERSION_TAG_FIELDS);
OBJECT_DEFINE(job, JOB_FIELDS);

struct task_group *job_group(const struct job *job, const char *name)
{
	uint32_t i;

	for (i = 0; i < job->task_groups.n; i++) {
		if (strcmp(job->task_groups.at[i].name, name) == 0) {
			return &job->task_groups.at[i];
		}
	}
	return NULL;
}

struct task *group_task(const struct task_group *group, const char *name)
{
	uint32_t i;

	for (i = 0; i < group->tasks.n; i++) {
		if (strcmp(group->tasks.at[i].name, name) == 0) {
			return &group->tasks.at[i];
		}
	}
	return NULL;
}

bool job_is_parameterized(const struct job *job)
{
	return job->parameterized != NULL && !job->dispatched;
}

bool job_is_periodic(const struct job *job)
{
	return job->periodic != NULL;
}

/* The earliest moment of one expression, or of `best` if that is earlier. */
static int64_t earlier_launch(const char *spec, int64_t after_s, cron_offset_cb offset, void *ctx, int64_t best)
{
	const char *why;
	struct cron c;
	int64_t next;

	if (cron_parse(spec, &c, &why) != 0) {
		return best;
	}
	next = cron_next(&c, after_s, offset, ctx);
	return next != -1 && (best == -1 || next < best) ? next : best;
}

int64_t periodic_next(const struct periodic_config *p, int64_t after_s, cron_offset_cb offset, void *ctx)
{
	int64_t best = -1;
	uint32_t i;

	if (*p->spec != '\0') {
		best = earlier_launch(p->spec, after_s, offset, ctx, best);
	}
	for (i = 0; i < p->specs.n; i++) {
		best = earlier_launch(p->specs.at[i], after_s, offset, ctx, best);
	}
	return best;
}
