/** Job files as commands take them: JSON as it is, HCL made into JSON by the server, with the variables given to it. */
#ifndef CLI_JOBFILE_H_
#define CLI_JOBFILE_H_

#include "cli/client.h"
#include "proto/job.h"

/* For the flags of commands that take a job file. */
#define JOBFILE_FLAGS                                                                                                  \
	{"json", NULL, "The file is JSON, also if its name does not end in .json."},                                   \
	{"var", "name=value", "A variable of the job file; may be repeated."},                                         \
	{"var-file", "path", "A file of variables; may be repeated."}

struct jobfile {
	struct buf text;
	bool json;
	const char *variables; /* As the server gets them; "" for none. */
	const char *job;       /* The job as JSON, in the client's arena. */
	struct job decoded;    /* Likewise, for what commands want to know of it. */
};

/* Read the file that is the first argument ("-": standard input). The job's namespace and region are the client's from
 * then on. False, with a word on stderr. Close it in any case. */
bool jobfile_read(struct client *c, const struct args *args, struct jobfile *f);
void jobfile_close(struct jobfile *f);

#endif /* CLI_JOBFILE_H_ */
