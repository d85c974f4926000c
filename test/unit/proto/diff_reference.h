/**
 * What the diff of two jobs must be, said a second time: of their JSON, in the words of the API alone. It knows nothing
 * of the field tables, so that a wrong or a missing attribute in them is seen.
 */
#ifndef TEST_DIFF_REFERENCE_H_
#define TEST_DIFF_REFERENCE_H_

#include <jansson.h>
#include <stdbool.h>

/* Before all else: a job that has everything a job can have. */
void reference_init(json_t *specimen);
void reference_close(void);

/* A new reference. Either may be NULL. Lists are in the order of reference_sort(). */
json_t *reference_diff(json_t *was, json_t *now, bool contextual);

/* Bring the lists of a job's diff, at any depth, into an order that depends on their content alone. */
void reference_sort(json_t *diff);

#endif /* TEST_DIFF_REFERENCE_H_ */
