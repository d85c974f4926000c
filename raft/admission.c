#include "raft/admission.h"

#include <stdio.h>

#include "proto/error.h"

static bool refuse(char why[ADMISSION_WHY], const char *text)
{
	snprintf(why, ADMISSION_WHY, "%s", text);
	return false;
}

bool admission_place(const struct view *v, const struct job_register *p, char why[ADMISSION_WHY])
{
	if (state_namespace(v, p->namespace_) == NULL) {
		snprintf(why, ADMISSION_WHY, "job \"%s\" is in nonexistent namespace \"%s\"", p->id, p->namespace_);
		return false;
	}
	if (p->node_pool[0] != '\0' && state_node_pool(v, p->node_pool) == NULL) {
		snprintf(why, ADMISSION_WHY, "job \"%s\" is in nonexistent node pool \"%s\"", p->id, p->node_pool);
		return false;
	}
	return true;
}

bool admission_nature(const struct job_row *job, const struct job_register *p, char why[ADMISSION_WHY])
{
	unsigned changed = job->flags ^ (unsigned)p->flags;

	if (job->type != p->type) {
		snprintf(why, ADMISSION_WHY, "cannot update job from type \"%s\" to \"%s\"", job_type_text(job->type),
			 job_type_text((int)p->type));
		return false;
	}
	if ((changed & JOB_PERIODIC) != 0) {
		return refuse(why, (job->flags & JOB_PERIODIC) != 0
					   ? "cannot update periodic job to being non-periodic"
					   : "cannot update non-periodic job to being periodic");
	}
	if ((changed & JOB_PARAMETERIZED) != 0) {
		return refuse(why, (job->flags & JOB_PARAMETERIZED) != 0
					   ? "cannot update parameterized job to being non-parameterized"
					   : "cannot update non-parameterized job to being parameterized");
	}
	return (changed & JOB_DISPATCHED) == 0 || refuse(why, "field 'Dispatched' is read-only");
}
