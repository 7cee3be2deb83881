/* order_change.c: adding to, removing from and moving the counted B+tree of order.h. Whatever needs memory
 * takes it before anything is changed; removing takes memory only where it can do without. */
#include "store/order_node.h"
#include "store/shard.h"

/* Items of room: what new memory has beyond need, and what must be unused before a node is made smaller. */
enum { ROOM_TO_GROW = 3, ROOM_TO_SPARE = 4 };

static uint64_t node_size(unsigned level, unsigned items)
{
    return slab_size(sizeof(struct order_node) + items * node_width(level));
}

/* As many items as fit into the memory that so many take. */
static unsigned cap_for(unsigned level, unsigned items)
{
    unsigned cap = (unsigned)((node_size(level, items) - sizeof(struct order_node)) / node_width(level));
    return cap < node_most(level) ? cap : node_most(level);
}

static uint64_t node_bytes(const struct order_node *n)
{
    return node_size(n->level, n->cap);
}

typedef void *node_alloc(struct shard *s, uint64_t size, enum slab_kind kind);

/* An empty node with room for so many items. */
static struct order_node *new_node(struct shard *s, node_alloc *alloc, unsigned level, unsigned items)
{
    unsigned cap = cap_for(level, items < node_most(level) ? items : node_most(level));
    struct order_node *n = alloc(s, node_size(level, cap), SLAB_OTHER);
    if (n)
        *n = (struct order_node){.cap = (uint16_t)cap, .level = (uint8_t)level};
    return n;
}

static void free_node(struct shard *s, struct order *o, struct order_node *n)
{
    o->bytes -= node_bytes(n);
    shard_free(s, n);
}

static void open_gap(struct order_node *n, unsigned at)
{
    memmove(node_item(n, at + 1), node_item(n, at), (n->count - at) * node_width(n->level));
    n->count++;
}

static void close_gap(struct order_node *n, unsigned at)
{
    n->count--;
    memmove(node_item(n, at), node_item(n, at + 1), (n->count - at) * node_width(n->level));
}

/* Moves the items from `at` on to the end of another node of this level. */
static void move_items(struct order_node *from, unsigned at, struct order_node *to)
{
    memcpy(node_item(to, to->count), node_item(from, at), (from->count - at) * node_width(from->level));
    to->count = (uint16_t)(to->count + from->count - at);
    from->count = (uint16_t)at;
}

/* Gives the node in a slot other memory, with room for so many items. */
static void put_elsewhere(struct shard *s, struct order *o, struct order_node **slot, struct order_node *to)
{
    struct order_node *n = *slot;
    move_items(n, 0, to);
    o->bytes += node_bytes(to);
    free_node(s, o, n);
    *slot = to;
}

/* Gives memory back that a node does not need, if there is a smaller piece. */
static void shrink(struct shard *s, struct order *o, struct order_node **slot)
{
    struct order_node *n = *slot;
    unsigned items = n->count + ROOM_TO_GROW;
    if (n->count == 0 || n->cap < items + ROOM_TO_SPARE || node_size(n->level, items) >= node_bytes(n))
        return;
    struct order_node *to = new_node(s, shard_alloc_quietly, n->level, items);
    if (to)
        put_elsewhere(s, o, slot, to);
}

/* -- adding
 * ---------------------------------------------------------------------------------------------------- */

/* A word on its way into the tree. */
struct adding {
    struct shard *s;
    struct order *o;
    const struct order_kind *kind;
    uint64_t word, hint;
    struct order_cursor path; /* where it goes */
    struct order_node
        *taken[ORDER_LEVELS];   /* by level: a larger copy of a node, or a full one's second half */
    unsigned cut[ORDER_LEVELS]; /* items that stay in a full node */
    bool front;                 /* it is the least word of the node it went into */
};

/* What a parent is to know of a node. The word that is being added may still tell a hint of before. */
static struct branch branch_to(const struct adding *a, struct order_node *n)
{
    struct branch sum = {.child = n};
    if (n->level) {
        const struct branch *b = node_branches(n);
        for (unsigned i = 0; i < n->count; i++)
            sum.count += b[i].count;
        sum.least = b->least;
        sum.hint = b->hint;
    } else {
        sum.count = n->count;
        sum.least = node_words(n)[0];
        sum.hint = sum.least == a->word ? a->hint : a->kind->hint ? a->kind->hint(sum.least) : 0;
    }
    return sum;
}

/* A full node is cut in the middle; but at either end of the tree it stays whole, so that words which come in
 * order leave full nodes behind. `at` is where the path goes. */
static unsigned cut_of(const struct adding *a, unsigned level)
{
    const struct order_cursor *c = &a->path;
    unsigned count = c->step[level].node->count;
    bool first = c->step[0].at == 0, last = c->step[0].at == c->step[0].node->count;
    for (unsigned i = 1; i <= c->top; i++) {
        first = first && c->step[i].at == 0;
        last = last && c->step[i].at + 1u == c->step[i].node->count;
    }
    return last ? count : first ? level > 0 : (count + 1) / 2;
}

/* Takes all the memory that adding needs. */
static bool take(struct adding *a)
{
    unsigned level = 0;
    for (; a->o->root && level <= a->path.top; level++) {
        const struct order_node *n = a->path.step[level].node;
        if (n->count < n->cap)
            return true;
        bool full = n->cap == node_most(level);
        a->cut[level] = full ? cut_of(a, level) : 0;
        a->taken[level] = new_node(a->s, shard_alloc, level, n->count - a->cut[level] + ROOM_TO_GROW);
        if (!a->taken[level] || !full)
            return a->taken[level];
    }
    assert(level < ORDER_LEVELS); /* nodes have eight children in the mean, or more */
    a->taken[level] = new_node(a->s, shard_alloc, level, ROOM_TO_GROW);
    return a->taken[level];
}

static void give_back(struct adding *a)
{
    for (unsigned level = 0; level < ORDER_LEVELS; level++)
        if (a->taken[level])
            shard_free(a->s, a->taken[level]);
}

static void put_item(struct order_node *n, unsigned at, const void *item)
{
    open_gap(n, at);
    memcpy(node_item(n, at), item, node_width(n->level));
}

/* Puts a word, or at inner levels the branch to a new node, before position `at`. Returns the second half if
 * the node had to be cut. */
static struct order_node *add_item(struct adding *a, struct order_node **slot, unsigned at, const void *item)
{
    struct order_node *n = *slot, *taken = a->taken[n->level];
    unsigned cut = a->cut[n->level];
    if (n->count < n->cap) {
        put_item(n, at, item);
        return NULL;
    }
    if (n->cap < node_most(n->level)) {
        put_elsewhere(a->s, a->o, slot, taken);
        put_item(*slot, at, item);
        return NULL;
    }
    bool in_second = at > cut || cut == n->count;
    a->o->bytes += node_bytes(taken);
    move_items(n, cut, taken);
    put_item(in_second ? taken : n, in_second ? at - cut : at, item);
    shrink(a->s, a->o, slot);
    return taken;
}

static struct order_node *add_below(struct adding *a, struct order_node **slot)
{
    unsigned level = (*slot)->level, at = a->path.step[level].at;
    if (level == 0) {
        a->front = at == 0;
        return add_item(a, slot, at, &a->word);
    }
    struct branch *b = &node_branches(*slot)[at];
    struct order_node *second = add_below(a, &b->child);
    if (second) {
        struct branch to_second = branch_to(a, second);
        *b = branch_to(a, b->child);
        return add_item(a, slot, at + 1, &to_second);
    }
    b->count++;
    if (a->front) {
        b->least = a->word;
        b->hint = a->hint;
        a->front = at == 0;
    }
    return NULL;
}

bool order_insert(struct shard *s, struct order *o, const struct order_kind *kind, struct order_key key,
                  uint64_t word, uint64_t *rank)
{
    struct adding a = {.s = s, .o = o, .kind = kind, .word = word, .hint = kind->hint ? key.hint : 0};
    uint64_t before = order_descend(o, kind, &key, &a.path);
    if (!take(&a)) {
        give_back(&a);
        return false;
    }
    struct order_node *second = o->root ? add_below(&a, &o->root) : NULL;
    if (!o->root || second) {
        struct order_node *root = a.taken[o->root ? o->root->level + 1 : 0];
        struct branch half[2] = {{0}};
        if (second) {
            half[0] = branch_to(&a, o->root);
            half[1] = branch_to(&a, second);
        }
        put_item(root, 0, second ? (const void *)&half[0] : &word);
        if (second)
            put_item(root, 1, &half[1]);
        o->bytes += node_bytes(root);
        o->root = root;
    }
    o->count++;
    if (rank)
        *rank = before;
    return true;
}

/* -- removing
 * -------------------------------------------------------------------------------------------------- */

struct removing {
    struct shard *s;
    struct order *o;
    const struct order_kind *kind;
};

/* Joins two neighbours if they are small enough together, or leaves them if that takes memory which is not
 * there. */
static void join(const struct removing *r, struct order_node *n, unsigned at)
{
    struct branch *first = &node_branches(n)[at], *second = first + 1;
    unsigned level = n->level - 1u, sum = first->child->count + second->child->count;
    if (sum > node_most(level) - node_most(level) / 8)
        return;
    if (sum > first->child->cap) {
        struct order_node *to = new_node(r->s, shard_alloc_quietly, level, sum + ROOM_TO_GROW);
        if (!to)
            return;
        put_elsewhere(r->s, r->o, &first->child, to);
    }
    move_items(second->child, 0, first->child);
    first->count += second->count;
    free_node(r->s, r->o, second->child);
    close_gap(n, at + 1);
}

/* A child has lost an item. */
static void mend(const struct removing *r, struct order_node *n, unsigned at)
{
    struct branch *b = &node_branches(n)[at];
    unsigned before = n->count;
    if (b->child->count == 0) {
        free_node(r->s, r->o, b->child);
        close_gap(n, at);
        return;
    }
    if (b->child->count > node_most(n->level - 1u) / 2)
        return;
    if (at + 1u < n->count)
        join(r, n, at);
    if (at > 0 && n->count == before)
        join(r, n, at - 1);
}

static void learn_least(const struct removing *r, struct branch *b)
{
    const struct order_node *n = b->child;
    b->least = n->level ? node_branches(n)->least : node_words(n)[0];
    b->hint = n->level ? node_branches(n)->hint : r->kind->hint ? r->kind->hint(b->least) : 0;
}

static uint64_t remove_below(const struct removing *r, struct order_node **slot, uint64_t rank)
{
    struct order_node *n = *slot;
    uint64_t word;
    if (n->level == 0) {
        word = node_words(n)[rank];
        close_gap(n, (unsigned)rank);
    } else {
        struct branch *b = node_branches(n);
        unsigned at = 0;
        for (; rank >= b[at].count; at++)
            rank -= b[at].count;
        word = remove_below(r, &b[at].child, rank);
        b[at].count--;
        if (rank == 0 && b[at].child->count > 0)
            learn_least(r, &b[at]);
        mend(r, n, at);
    }
    shrink(r->s, r->o, slot);
    return word;
}

uint64_t order_remove_at(struct shard *s, struct order *o, const struct order_kind *kind, uint64_t rank)
{
    struct removing r = {s, o, kind};
    assert(rank < o->count);
    uint64_t word = remove_below(&r, &o->root, rank);
    o->count--;
    while (o->root && (o->root->count == 0 || (o->root->level && o->root->count == 1))) {
        struct order_node *old = o->root;
        o->root = old->count ? node_branches(old)[0].child : NULL;
        free_node(s, o, old);
    }
    return word;
}

void order_replace(const struct order_cursor *c, const struct order_kind *kind, uint64_t word)
{
    node_words(c->step[0].node)[c->step[0].at] = word;
    for (unsigned level = 1; level <= c->top && c->step[level - 1].at == 0; level++) {
        struct branch *b = &node_branches(c->step[level].node)[c->step[level].at];
        b->least = word;
        b->hint = kind->hint ? kind->hint(word) : 0;
    }
}

/* -- as a whole
 * ------------------------------------------------------------------------------------------------ */

bool order_drop(struct shard *s, struct order *o, unsigned *budget)
{
    while (o->root && *budget > 0) {
        struct order_node *parent = NULL, *n = o->root;
        while (n->level && n->count > 0) {
            parent = n;
            n = node_branches(parent)[parent->count - 1u].child;
        }
        unsigned words = n->level ? 0 : n->count;
        o->count -= words;
        *budget -= *budget < words + 1 ? *budget : words + 1;
        free_node(s, o, n);
        if (parent)
            parent->count--;
        else
            o->root = NULL;
    }
    return !o->root;
}

uint64_t order_compact(struct shard *s, struct order *o, uint64_t rank)
{
    struct order_node **slot = &o->root;
    uint64_t left = rank;
    if (rank >= o->count)
        return 0;
    for (;;) {
        struct order_node *n = *slot;
        if (slab_is_sparse(&s->heap, n)) {
            struct order_node *to = new_node(s, shard_alloc_quietly, n->level, n->cap);
            if (to)
                put_elsewhere(s, o, slot, to);
            n = *slot;
        }
        if (n->level == 0) {
            uint64_t next = rank - left + n->count;
            return next < o->count ? next : 0;
        }
        struct branch *b = node_branches(n);
        for (; left >= b->count; b++)
            left -= b->count;
        slot = &b->child;
    }
}
