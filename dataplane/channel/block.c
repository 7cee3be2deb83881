/* block.c: the counter block: a memfd that lives as long as the dataplane, written here, read by control. It
 * is made as large as it may ever become (pages that nobody touches cost nothing), so that pointers into it
 * stay valid. */
#include "channel/private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { COMMANDS_MAX = 2048, CACHE_LINE = 64 };

_Static_assert(sizeof(struct command_stats) == sizeof(struct channel_command_totals) &&
                   offsetof(struct command_stats, failed) == offsetof(struct channel_command_totals, failed),
               "command.h and messages.h disagree");
_Static_assert(sizeof(struct family_times) == TIME_STAGES * sizeof(struct channel_histogram) &&
                   (int)TIME_BUCKETS == (int)CHANNEL_BUCKETS &&
                   offsetof(struct histogram, bucket) == offsetof(struct channel_histogram, bucket),
               "times.h and messages.h disagree");
_Static_assert(sizeof(struct counters) == COUNTER_MAX * sizeof(uint64_t), "counters are an array");

static uint64_t line_up(uint64_t bytes)
{
    return (bytes + CACHE_LINE - 1) & ~(uint64_t)(CACHE_LINE - 1);
}

static uint64_t times_in_worker(unsigned commands)
{
    return line_up(sizeof(struct counters)) + line_up(commands * sizeof(struct channel_command_totals));
}

static uint64_t stride_for(unsigned commands)
{
    /* One line more, so that two workers' halves never share a prefetched pair of lines. */
    return times_in_worker(commands) + line_up(TIME_FAMILIES * sizeof(struct family_times)) + CACHE_LINE;
}

static uint64_t tables_for(unsigned commands)
{
    return 4096 + line_up(CHANNEL_GAUGES * sizeof(struct channel_gauge_slot)) +
           line_up(COUNTER_MAX * sizeof(struct channel_counter_info)) +
           line_up((uint64_t)commands * CHANNEL_NAME) +
           (TIME_FAMILIES + TIME_STAGES) * (uint64_t)CHANNEL_NAME + TIME_BUCKETS * sizeof(uint64_t);
}

bool block_open(struct channel *ch, char *error, size_t size)
{
    size_t bytes =
        (tables_for(COMMANDS_MAX) + CHANNEL_WORKERS * stride_for(COMMANDS_MAX) + 4095) & ~(size_t)4095;
    ch->block_fd = memfd_create("sluice-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (ch->block_fd < 0 || ftruncate(ch->block_fd, (off_t)bytes) < 0) {
        snprintf(error, size, "cannot make the counter block (%zu bytes of shared memory): %s", bytes,
                 strerror(errno));
        return false;
    }
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ch->block_fd, 0);
    if (p == MAP_FAILED) {
        snprintf(error, size, "cannot map the counter block: %s", strerror(errno));
        return false;
    }
    /* Nobody else may shrink it under us or write to it. An old kernel without the last seal still works. */
    if (fcntl(ch->block_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) < 0)
        (void)fcntl(ch->block_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    ch->block = p;
    ch->block_size = bytes;
    *ch->block = (struct channel_block){
        .magic = CHANNEL_MAGIC, .version = CHANNEL_VERSION, .size = bytes, .gauges_offset = 4096};
    return true;
}

void block_close(struct channel *ch)
{
    if (ch->block)
        munmap(ch->block, ch->block_size);
    if (ch->block_fd >= 0)
        close(ch->block_fd);
    ch->block = NULL;
    ch->block_fd = -1;
}

static void *at(struct channel *ch, uint64_t offset)
{
    return (uint8_t *)ch->block + offset;
}

static void name_times(struct channel *ch)
{
    char(*family)[CHANNEL_NAME] = at(ch, ch->block->family_names);
    char(*stage)[CHANNEL_NAME] = at(ch, ch->block->stage_names);
    uint64_t *end = at(ch, ch->block->bucket_ends);
    for (unsigned i = 0; i < TIME_FAMILIES; i++)
        snprintf(family[i], sizeof family[i], "%s", time_family_name(i));
    for (unsigned i = 0; i < TIME_STAGES; i++)
        snprintf(stage[i], sizeof stage[i], "%s", time_stage_name(i));
    for (unsigned i = 0; i < TIME_BUCKETS; i++)
        end[i] = time_bucket_end(i);
}

bool channel_share_counters(struct channel *ch, unsigned workers, unsigned commands)
{
    struct channel_block *b = ch->block;
    if (b->workers || workers == 0 || workers > CHANNEL_WORKERS || commands > COMMANDS_MAX)
        return false;
    b->counters = COUNTER_MAX;
    b->commands = commands;
    b->counter_names = b->gauges_offset + line_up(CHANNEL_GAUGES * sizeof(struct channel_gauge_slot));
    b->command_names = b->counter_names + line_up(COUNTER_MAX * sizeof(struct channel_counter_info));
    b->families = TIME_FAMILIES;
    b->stages = TIME_STAGES;
    b->family_names = b->command_names + line_up((uint64_t)commands * CHANNEL_NAME);
    b->stage_names = b->family_names + TIME_FAMILIES * CHANNEL_NAME;
    b->bucket_ends = b->stage_names + TIME_STAGES * CHANNEL_NAME;
    b->workers_offset = b->bucket_ends + TIME_BUCKETS * sizeof(uint64_t);
    b->worker_stride = stride_for(commands);
    b->commands_in_worker = line_up(sizeof(struct counters));
    b->times_in_worker = times_in_worker(commands);

    struct channel_counter_info *info = at(ch, b->counter_names);
    for (unsigned i = 0; i < COUNTER_MAX; i++) {
        snprintf(info[i].name, sizeof info[i].name, "%s", counter_name((enum counter)i));
        snprintf(info[i].help, sizeof info[i].help, "%s", counter_help((enum counter)i));
    }
    char(*name)[CHANNEL_NAME] = at(ch, b->command_names);
    for (unsigned i = 0; i < commands; i++) {
        const struct command *cmd = command_by_id(i);
        snprintf(name[i], sizeof name[i], "%s", !cmd ? "" : cmd->full_name ? cmd->full_name : cmd->name);
    }
    name_times(ch);
    __atomic_store_n(&b->workers, workers, __ATOMIC_RELEASE);
    return true;
}

struct counters *channel_counters(struct channel *ch, unsigned worker)
{
    const struct channel_block *b = ch->block;
    return worker < b->workers ? at(ch, b->workers_offset + worker * b->worker_stride) : NULL;
}

struct command_stats *channel_command_stats(struct channel *ch, unsigned worker)
{
    const struct channel_block *b = ch->block;
    return worker < b->workers ? at(ch, b->workers_offset + worker * b->worker_stride + b->commands_in_worker)
                               : NULL;
}

struct family_times *channel_times(struct channel *ch, unsigned worker)
{
    const struct channel_block *b = ch->block;
    return worker < b->workers ? at(ch, b->workers_offset + worker * b->worker_stride + b->times_in_worker)
                               : NULL;
}

void channel_gauge(struct channel *ch, const char *name, double value)
{
    struct channel_gauge_slot *slot = at(ch, ch->block->gauges_offset);
    uint32_t n = ch->block->gauges, i = 0;
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    while (i < n && strcmp(slot[i].name, name) != 0)
        i++;
    if (i == CHANNEL_GAUGES || strlen(name) >= CHANNEL_NAME)
        return;
    __atomic_store_n(&slot[i].bits, bits, __ATOMIC_RELAXED);
    if (i == n) {
        memcpy(slot[i].name, name, strlen(name) + 1);
        __atomic_store_n(&ch->block->gauges, n + 1, __ATOMIC_RELEASE);
    }
}
