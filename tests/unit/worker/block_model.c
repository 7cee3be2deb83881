/* block_model.c: lists as arrays, waiters by age. */
#include "block_model.h"

#include <stdio.h>
#include <string.h>

static int take(struct model *m, int key, bool tail)
{
    int *list = m->list[key], element = tail ? list[m->len[key] - 1] : list[0];
    m->len[key]--;
    if (!tail)
        memmove(list, list + 1, (size_t)m->len[key] * sizeof *list);
    return element;
}

static void put(struct model *m, int key, int element, bool head)
{
    int *list = m->list[key];
    if (m->len[key] == 0)
        m->ready[m->readies++] = key;
    if (head)
        memmove(list + 1, list, (size_t)m->len[key] * sizeof *list);
    list[head ? 0 : m->len[key]] = element;
    m->len[key]++;
}

void model_told(struct model *m, int client, const char *text)
{
    struct model_client *c = &m->client[client];
    c->waits = false;
    c->len += (size_t)snprintf(c->text + c->len, MODEL_TEXT - c->len, "%s", text);
}

/* The list of key has an element: this client gets it. */
static void give(struct model *m, int client, int key)
{
    struct model_client *c = &m->client[client];
    char number[16], text[80];
    int element = take(m, key, c->moves || c->from_tail);
    int n = snprintf(number, sizeof number, "%d", element);
    if (c->moves)
        snprintf(text, sizeof text, "$%d\r\n%s\r\n", n, number);
    else
        snprintf(text, sizeof text, "*2\r\n$%zu\r\n%s\r\n$%d\r\n%s\r\n", strlen(m->name[key]), m->name[key],
                 n, number);
    model_told(m, client, text);
    if (c->moves)
        put(m, c->to, element, true);
}

/* Who has waited longest for this key, or -1. */
static int oldest(const struct model *m, int key)
{
    int best = -1;
    for (int i = 0; i < MODEL_CLIENTS; i++)
        for (int k = 0; m->client[i].waits && k < m->client[i].keys; k++)
            if (m->client[i].key[k] == key && (best < 0 || m->client[i].since < m->client[best].since))
                best = i;
    return best;
}

static void serve(struct model *m)
{
    for (int i = 0; i < m->readies; i++)
        for (int c; m->len[m->ready[i]] && (c = oldest(m, m->ready[i])) >= 0;)
            give(m, c, m->ready[i]);
    m->readies = 0;
}

static void start(struct model *m, int client)
{
    struct model_client *c = &m->client[client];
    for (int k = 0; k < c->keys; k++)
        if (m->len[c->key[k]]) {
            give(m, client, c->key[k]);
            serve(m);
            return;
        }
    c->waits = true;
    c->since = m->clock++;
}

void model_pop(struct model *m, int client, const int *key, int keys, bool from_tail)
{
    struct model_client *c = &m->client[client];
    c->moves = false;
    c->from_tail = from_tail;
    c->keys = keys;
    memcpy(c->key, key, (size_t)keys * sizeof *key);
    start(m, client);
}

void model_move(struct model *m, int client, int from, int to)
{
    struct model_client *c = &m->client[client];
    c->moves = true;
    c->keys = 1;
    c->key[0] = from;
    c->to = to;
    start(m, client);
}

int model_push(struct model *m, int key, const int *element, int n, bool at_head)
{
    for (int i = 0; i < n; i++)
        put(m, key, element[i], at_head);
    int len = m->len[key];
    serve(m);
    return len;
}
