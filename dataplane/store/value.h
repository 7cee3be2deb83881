/* value.h: values that are collections: the forms they take in their entry, and how an operation changes
 * them. Private to the store and its value types (hash.c, set.c, list.c, zset.c, stream.c).
 *
 *   VALUE_PACK, VALUE_INTS, VALUE_TIMED  the entry's value is the collection itself
 *   VALUE_..._APART                      it is a struct apart that points to it: above ENTRY_INLINE bytes
 *   VALUE_BODY                           it is the address of a struct body, the first member of the type's
 * own struct: an indexed form
 * VALUE_TIMED is a hash's pack with the times of its fields in it (hash_forms.h).
 *
 * Adding a type: its struct that begins with a struct body, and a row of struct body_ops in value.c.
 *
 * Rules. Whatever allocates may evict and move other keys and may fail; the entry of the running operation is
 * held (entry_hold) by the functions below while they allocate, and so must the caller hold each other entry
 * that it still reads. An operation allocates first and changes then: on failure nothing has changed. */
#pragma once
#include "store/store.h"

struct body;

enum value_encoding {
    VALUE_PACK,
    VALUE_PACK_APART,
    VALUE_INTS,
    VALUE_INTS_APART,
    VALUE_BODY,
    VALUE_TIMED = 6,
    VALUE_TIMED_APART
}; /* an odd one is a struct apart */

/* -- compact forms */

/* The bytes of a compact value; none if there is no key. Good until the shard changes. */
uint8_t *value_bytes(const struct value_at *v, uint64_t *len);
/* The same for an entry. */
uint8_t *entry_value_bytes(const struct entry *e, uint64_t *len);
/* True if the value is compact in this form (its even number), in the entry or apart. */
bool entry_is_compact(const struct entry *e, enum value_encoding form);

/* Makes the value `len` bytes long and returns them, the first ones as they were (as many as there were and
 * are). Creates the key, with a value of this type and (even) form, if there is none.
 * Growing may fail: NULL, and nothing has changed. Shrinking never does. What is inserted must not lie in
 * this very value. len < 2^32. */
uint8_t *value_resize(struct value_at *v, enum value_type type, enum value_encoding form, uint64_t len);

/* Makes len bytes at p (from shard_alloc(), SLAB_OTHER) the value in place of the one it had; p belongs to
 * the value, or is freed if the entry holds the bytes itself. STORE_OOM: nothing has changed, p is the
 * caller's. */
enum store_result value_adopt(struct value_at *v, enum value_type type, enum value_encoding form, uint8_t *p,
                              uint64_t len);

/* -- indexed forms */

struct body {
    uint64_t data;     /* bytes of the elements as the user counts them: kept up to date by the type */
    uint64_t memory;   /* bytes of what hangs on the body and is not counted by body_ops.overhead: likewise */
    struct body *next; /* in the shard's list of what is to be freed */
    uint8_t type;      /* enum value_type */
    bool listpack;     /* OBJECT ENCODING calls it so although it is a body: a list of middling size */
};

/* What the store must be able to do with a body of some type. */
struct body_ops {
    const char *encoding; /* OBJECT ENCODING */
    uint64_t size;        /* of the struct */
    /* Frees about *budget pieces of what hangs on the body and takes them off the budget. True when nothing
     * is left: the caller frees the body. It may be called again and again with the rest. */
    bool (*free)(struct shard *s, struct body *b, unsigned *budget);
    /* A copy in memory of another shard, or the same one. NULL without memory. */
    struct body *(*clone)(struct shard *to, const struct body *b);
    /* Bytes that are cheaper to count when asked for than to keep; NULL = none. */
    uint64_t (*overhead)(const struct body *b);
    /* Moves what lies in sparse slabs, about *budget pieces from *cursor on (0 = the beginning; it means what
     * the type wants). True at the end. NULL = cannot. Whatever pointers it leaves behind are its own. */
    bool (*compact)(struct shard *s, struct body *b, uint64_t *cursor, unsigned *budget);
};

const struct body_ops *body_ops_of(const struct body *b);
/* Memory for a body of a type, zero but for its type. */
struct body *body_new(struct shard *s, enum value_type type);
/* Frees a body that no entry points to any more: at once if it is small, otherwise in upkeep. */
void body_release(struct shard *s, struct body *b);
struct body *body_clone(struct shard *to, const struct body *b);
uint64_t body_memory(const struct body *b);
/* Frees what is waiting. True when there is nothing left. */
bool bodies_slice(struct shard *s, unsigned *budget);

/* Makes a body the value in place of the one it had, or creates the key. STORE_OOM: nothing has changed, the
 * body is the caller's. Often it is the same value in another form: if not, value_changed() is due. */
enum store_result value_set_body(struct value_at *v, struct body *b);
/* A body has changed: tells the database that body->data was `before` until now. */
void value_body_changed(const struct value_at *v, uint64_t before);

/* -- all forms */

/* Tells those who watch the key (store_changed()). Part of all functions above but value_set_body(). */
void value_changed(const struct value_at *v);

/* Those who wait for the key are to look at it once more: an entry was added to a stream, or a group of it is
 * gone. Nothing need be told when the key itself comes to be or goes. */
void value_grew(const struct value_at *v);

/* Removes the key: its collection has become empty. */
void value_remove(struct value_at *v);

/* OBJECT ENCODING of an entry that is no string. */
const char *value_encoding_name(const struct entry *e);
