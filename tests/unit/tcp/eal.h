/* eal.h: EAL and a packet pool for tests, without hugepages, devices or traces on the machine. */
#pragma once
struct rte_mempool;

/* Starts EAL once a process. */
void test_eal(void);
/* Pools live as long as the process: each test program makes one and finds it empty again after each test. */
struct rte_mempool *test_pool(const char *name, unsigned frames);
