/* test_programs.c: which dataplane is started, and which is not any more (control/programs.h). */
#include "control/programs.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], updates[96], box[96]; /* box: its own program */

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "we");
    CU_ASSERT_FATAL(f != NULL);
    fputs(text, f);
    fclose(f);
    chmod(path, mode);
}

/* An update `build`, which the link `name` leads to. */
static void place(const char *build, const char *name)
{
    char *to = must_print("%s/%s", updates, build), *program = must_print("%s/sluice-dataplane", to), *release = must_print("%s/release", to),
         *link = must_print("%s/%s", updates, name), *text = must_print("VERSION=1\nBUILD_ID=%s\n", build);
    mkdir(to, 0755);
    write_file(program, "#!/bin/sh\n", 0755);
    write_file(release, text, 0644);
    unlink(link);
    CU_ASSERT_FATAL(symlink(build, link) == 0);
    free(to);
    free(program);
    free(release);
    free(link);
    free(text);
}

static struct programs *begin(void)
{
    strcpy(folder, "/tmp/test_programs.XXXXXX");
    CU_ASSERT_FATAL(mkdtemp(folder) != NULL);
    snprintf(updates, sizeof updates, "%s/updates", folder);
    CU_ASSERT_FATAL(mkdir(updates, 0755) == 0 && chmod(updates, 0755) == 0);
    snprintf(box, sizeof box, "%s/sluice-dataplane", folder);
    write_file(box, "", 0755);
    return programs_new(box, updates, folder);
}

static void end(struct programs *p)
{
    char *command = must_print("rm -rf %s", folder);
    programs_free(p);
    CU_ASSERT(system(command) == 0);
    free(command);
}

static bool chooses(const struct programs *p, unsigned wanted)
{
    char *path;
    unsigned which = programs_choose(p, &path);
    bool good = which == wanted && programs_is_own(p, path) == (wanted == PROGRAM_OWN);
    free(path);
    return good;
}

static bool fails(struct programs *p, const char *why)
{
    char *path;
    (void)programs_choose(p, &path);
    bool another = programs_failed(p, path, why);
    free(path);
    return another;
}

static bool doubts(const struct programs *p, const char *wanted)
{
    char *line = programs_doubt(p);
    bool good = wanted ? line && strstr(line, wanted) : !line;
    free(line);
    return good;
}

static void test_an_update_goes_before_the_one_before_it_and_the_own(void)
{
    struct programs *p = begin();
    CU_ASSERT(chooses(p, PROGRAM_OWN));
    place("bbbb", "before");
    CU_ASSERT(chooses(p, PROGRAM_BEFORE));
    place("aaaa", "current");
    CU_ASSERT(chooses(p, PROGRAM_UPDATE) && doubts(p, NULL));
    char *path, *build;
    (void)programs_choose(p, &path);
    build = program_release(path, "BUILD_ID");
    CU_ASSERT(build && strcmp(build, "aaaa") == 0);
    free(path);
    free(build);
    end(p);
}

/* Before another one has served it may not have been the program's fault: then nothing is kept over control's end. */
static void test_what_fails_is_passed_over_for_good_when_another_one_serves(void)
{
    struct programs *p = begin();
    place("aaaa", "current");
    place("bbbb", "before");
    CU_ASSERT(fails(p, "first\nreason") && chooses(p, PROGRAM_BEFORE) && doubts(p, "build aaaa, is given up: first reason"));
    programs_free(p);
    p = programs_new(box, updates, folder);
    CU_ASSERT(chooses(p, PROGRAM_UPDATE));
    CU_ASSERT(fails(p, "first reason") && chooses(p, PROGRAM_BEFORE));
    programs_served(p);
    programs_free(p);
    p = programs_new(box, updates, folder);
    CU_ASSERT(chooses(p, PROGRAM_BEFORE) && doubts(p, "first reason"));
    CU_ASSERT(fails(p, "second") && chooses(p, PROGRAM_OWN));
    programs_served(p);
    programs_free(p);
    p = programs_new(box, updates, folder);
    CU_ASSERT(chooses(p, PROGRAM_OWN) && doubts(p, "first reason"));
    place("cccc", "current"); /* another one has not failed yet */
    CU_ASSERT(chooses(p, PROGRAM_UPDATE) && doubts(p, NULL));
    end(p);
}

static void test_if_the_own_fails_too_all_begins_again(void)
{
    struct programs *p = begin();
    CU_ASSERT(!fails(p, "no link")); /* there is no other */
    place("aaaa", "current");
    CU_ASSERT(fails(p, "no link") && chooses(p, PROGRAM_OWN));
    CU_ASSERT(fails(p, "no link") && chooses(p, PROGRAM_UPDATE));
    programs_served(p);
    CU_ASSERT(chooses(p, PROGRAM_UPDATE) && doubts(p, NULL));
    end(p);
}

/* Who else may write it is as good as root. */
static void test_what_others_may_write_is_not_started(void)
{
    struct programs *p = begin();
    place("aaaa", "current");
    char *program = must_print("%s/aaaa/sluice-dataplane", updates), *to = must_print("%s/aaaa", updates), *outside = must_print("%s/current", updates);
    const char *const paths[] = {program, to, updates};
    for (unsigned i = 0; i < 3; i++) {
        chmod(paths[i], 0775);
        CU_ASSERT(chooses(p, PROGRAM_OWN));
        chmod(paths[i], 0755);
        CU_ASSERT(chooses(p, PROGRAM_UPDATE));
    }
    chmod(program, 0644);
    CU_ASSERT(chooses(p, PROGRAM_OWN));
    chmod(program, 0755);
    unlink(outside);
    CU_ASSERT_FATAL(symlink("/bin", outside) == 0);
    CU_ASSERT(chooses(p, PROGRAM_OWN));
    free(program);
    free(to);
    free(outside);
    end(p);
}

static void test_a_damaged_one_is_told_of(void)
{
    struct programs *p = begin();
    char *path = must_print("%s/damaged", updates);
    write_file(path, "the update of the dataplane is not used: its signature\n", 0644);
    CU_ASSERT(chooses(p, PROGRAM_OWN) && doubts(p, "not used: its signature"));
    free(path);
    end(p);
}

/* Whoever asks: control and its starter are not the same user, but the program that both were told of is one. */
static void test_whose_it_may_be_says_the_own_program(void)
{
    struct programs *p = begin();
    char *own = must_print("%s/own", folder), *program = must_print("%s/aaaa/sluice-dataplane", updates), *found;
    place("aaaa", "current");
    if (geteuid() != 0 || chown(program, 65534, (gid_t)-1) < 0) {
        unit_skip("only root gives files away");
    } else {
        write_file(own, "", 0755);
        CU_ASSERT((found = program_find(own, updates, PROGRAM_UPDATE)) == NULL);
        CU_ASSERT(chown(own, 65534, (gid_t)-1) == 0);
        CU_ASSERT((found = program_find(own, updates, PROGRAM_UPDATE)) != NULL);
        free(found);
        CU_ASSERT(chown(own, 65533, (gid_t)-1) == 0);
        CU_ASSERT((found = program_find(own, updates, PROGRAM_UPDATE)) == NULL);
    }
    free(own);
    free(program);
    end(p);
}

/* Also when what has failed could not be written down, or nothing has served yet. */
static void test_an_install_of_the_same_one_is_tried(void)
{
    struct programs *p = begin();
    char *refused = must_print("%s/dataplane-refused", folder);
    place("aaaa", "current");
    CU_ASSERT_FATAL(mkdir(refused, 0755) == 0); /* no file can come there */
    CU_ASSERT(fails(p, "first reason") && chooses(p, PROGRAM_OWN));
    CU_ASSERT(programs_served(p) && chooses(p, PROGRAM_OWN) && doubts(p, "first reason"));
    place("aaaa", "current");
    CU_ASSERT(chooses(p, PROGRAM_UPDATE) && doubts(p, NULL));
    CU_ASSERT(!programs_served(p));
    free(refused);
    end(p);
}

static void test_pardoned_it_is_tried_again(void)
{
    struct programs *p = begin();
    place("aaaa", "current");
    CU_ASSERT(fails(p, "first reason") && programs_served(p) && chooses(p, PROGRAM_OWN));
    programs_pardon(p);
    CU_ASSERT(chooses(p, PROGRAM_UPDATE) && doubts(p, NULL));
    end(p);
}

/* Nobody but the operator can help: when it serves at last, what has failed was not to blame. */
static void test_if_the_own_cannot_load_either_the_update_is_tried_at_a_restart(void)
{
    struct programs *p = begin();
    place("aaaa", "current");
    programs_excuse(p); /* nothing has failed */
    CU_ASSERT(chooses(p, PROGRAM_UPDATE) && fails(p, "a snapshot") && chooses(p, PROGRAM_OWN));
    programs_excuse(p);
    CU_ASSERT(!programs_served(p) && chooses(p, PROGRAM_OWN) && doubts(p, "a snapshot (nor can the box's own load the data"));
    programs_retry(p);
    CU_ASSERT(chooses(p, PROGRAM_UPDATE) && doubts(p, NULL));
    CU_ASSERT(fails(p, "a snapshot") && programs_served(p)); /* this time the own could */
    programs_retry(p);
    CU_ASSERT(chooses(p, PROGRAM_OWN) && doubts(p, "given up: a snapshot"));
    end(p);
}

static void test_several_keys_of_a_release_are_read_at_once(void)
{
    static const char *const keys[] = {"BUILD_ID", "NONE", "VERSION"};
    struct programs *p = begin();
    char *path, *values[3];
    place("aaaa", "current");
    (void)programs_choose(p, &path);
    program_releases(path, 3, keys, values);
    CU_ASSERT(values[0] && strcmp(values[0], "aaaa") == 0 && !values[1] && values[2] && strcmp(values[2], "1") == 0);
    for (unsigned i = 0; i < 3; i++)
        free(values[i]);
    free(path);
    end(p);
}

/* As the next control finds it: what has failed it has not seen. */
static void test_a_control_that_finds_another_program_than_the_update_says_so(void)
{
    struct programs *p = begin();
    place("aaaa", "current");
    char *update = program_find(box, updates, PROGRAM_UPDATE), *doubt;
    programs_found(p, update);
    CU_ASSERT((doubt = programs_doubt(p)) == NULL);
    free(doubt);
    programs_found(p, box);
    doubt = programs_doubt(p);
    CU_ASSERT(doubt && strstr(doubt, "build aaaa, does not run: another program did when control started"));
    free(doubt);
    programs_found(p, NULL); /* the restart that somebody asks for */
    CU_ASSERT((doubt = programs_doubt(p)) == NULL);
    free(doubt);
    programs_found(p, box);
    place("bbbb", "current"); /* installed: to be started soon */
    CU_ASSERT((doubt = programs_doubt(p)) == NULL);
    free(doubt);
    free(update);
    end(p);
}

static void test_a_trial_ends_with_the_second_fault_in_a_row(void)
{
    struct trial t = {0};
    trial_begin(&t, "one");
    CU_ASSERT(!trial_ended(&t, 0, true) && trial_ended(&t, 0, true));
    trial_begin(&t, "two");
    CU_ASSERT(!trial_ended(&t, 1000, true));
    trial_begin(&t, "two");
    CU_ASSERT(!trial_ended(&t, TRIAL_GOOD_MS, true));         /* it had served: that is the first */
    CU_ASSERT(!trial_ended(&t, 1000, false));                 /* somebody's wish */
    CU_ASSERT(trial_ended(&t, TRIAL_GOOD_MS - 1, true));
    trial_begin(&t, "three");
    for (unsigned i = 1; i < 2 * TRIAL_LATE_FAULTS - 1; i++) /* an hour of service makes up for all before it */
        CU_ASSERT(!trial_ended(&t, i == TRIAL_LATE_FAULTS ? TRIAL_SOUND_MS : TRIAL_GOOD_MS, true));
    CU_ASSERT(trial_ended(&t, TRIAL_GOOD_MS, true));
    trial_begin(&t, "four");
    for (unsigned i = 1; i < TRIAL_LATE_FAULTS; i++)
        CU_ASSERT(!trial_ended(&t, TRIAL_GOOD_MS, true));
    trial_served(&t, TRIAL_SOUND_MS); /* and somebody has it started anew */
    CU_ASSERT(!trial_ended(&t, TRIAL_GOOD_MS, true));
}

static void test_what_others_end_is_a_fault_only_if_that_goes_on_and_on(void)
{
    struct trial t = {0};
    trial_begin(&t, "one");
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < TRIAL_WISHES - 1; i++)
            CU_ASSERT(!trial_ended(&t, i ? 0 : TRIAL_GOOD_MS, false));
    CU_ASSERT(trial_ended(&t, 0, false));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_an_update_goes_before_the_one_before_it_and_the_own),
                                             UNIT(test_what_fails_is_passed_over_for_good_when_another_one_serves),
                                             UNIT(test_if_the_own_fails_too_all_begins_again),
                                             UNIT(test_what_others_may_write_is_not_started),
                                             UNIT(test_whose_it_may_be_says_the_own_program),
                                             UNIT(test_an_install_of_the_same_one_is_tried),
                                             UNIT(test_pardoned_it_is_tried_again),
                                             UNIT(test_a_damaged_one_is_told_of),
                                             UNIT(test_if_the_own_cannot_load_either_the_update_is_tried_at_a_restart),
                                             UNIT(test_several_keys_of_a_release_are_read_at_once),
                                             UNIT(test_a_control_that_finds_another_program_than_the_update_says_so),
                                             UNIT(test_a_trial_ends_with_the_second_fault_in_a_row),
                                             UNIT(test_what_others_end_is_a_fault_only_if_that_goes_on_and_on),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "control/programs", tests);
}
