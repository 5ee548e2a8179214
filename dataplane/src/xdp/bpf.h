/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* The few kernel helpers and map macros the classifier needs, so that building it takes clang and the kernel's
 * userspace headers and nothing else. Helper numbers are kernel ABI (enum bpf_func_id in linux/bpf.h). */
#ifndef PENSTOCK_BPF_H
#define PENSTOCK_BPF_H

#include <linux/bpf.h>
#include <linux/types.h>

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

/* A map's attributes are types of the members of a struct, which the loader reads from the BTF. */
#define MAP_UINT(name, value) int(*name)[value]
#define MAP_TYPE(name, value) typeof(value) *name

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) =
	(void *)BPF_FUNC_map_update_elem;
static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)BPF_FUNC_map_delete_elem;
static __u64 (*bpf_ktime_get_ns)(void) = (void *)BPF_FUNC_ktime_get_ns;
static long (*bpf_redirect)(__u32 ifindex, __u64 flags) = (void *)BPF_FUNC_redirect;
static long (*bpf_redirect_map)(void *map, __u64 key, __u64 flags) = (void *)BPF_FUNC_redirect_map;
static long (*bpf_xdp_adjust_tail)(struct xdp_md *ctx, int delta) = (void *)BPF_FUNC_xdp_adjust_tail;

/* Lets the compiler forget what it knows of a number. */
#define OPAQUE(number) asm volatile("" : "+r"(number))

/* Tells the verifier the bits of a number: what the compiler knows of it is forgotten, else it drops the mask. */
#define BOUNDED(number, mask)       \
	({                          \
		OPAQUE(number);     \
		(number) & (mask);  \
	})

/* One load, of what others write. */
#define READ_ONCE(place) (*(const volatile typeof(place) *)&(place))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BE16(value) __builtin_bswap16(value)
#define BE32(value) __builtin_bswap32(value)
#else
#define BE16(value) (value)
#define BE32(value) (value)
#endif

INLINE __u16 be16(__be16 value)
{
	return BE16(value);
}

#endif
