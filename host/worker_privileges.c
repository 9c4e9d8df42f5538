// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a worker gives up before it meets a guest. It reads what a stranger writes, next to a
 * large proprietary library; whoever takes it over should find nothing to work with.
 */
#include "worker.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Descriptors: the GPU driver's library holds some dozens a device. */
#define FILES_MAX 1024
/* Bytes a file may grow to: enough for a crash report on stderr, too few to fill a disk. */
#define FILE_BYTES_MAX (16u << 20)

/*
 * System calls that neither backend makes once it is up. A list of what is denied, not of what
 * is allowed: the GPU driver's library is free to change what it calls with every release.
 */
static const int denied[] = {
	/* other programs, other processes */
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(kcmp),
	SCMP_SYS(kill),
	SCMP_SYS(tkill),
	SCMP_SYS(rt_sigqueueinfo),
	SCMP_SYS(pidfd_open),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(pidfd_send_signal),
	SCMP_SYS(process_madvise),
	SCMP_SYS(personality),
	/* the network */
	SCMP_SYS(socket),
	SCMP_SYS(bind),
	SCMP_SYS(connect),
	SCMP_SYS(listen),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	/* file systems and namespaces */
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(setns),
	SCMP_SYS(unshare),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsmount),
	SCMP_SYS(fspick),
	SCMP_SYS(fsconfig),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(name_to_handle_at),
	SCMP_SYS(fanotify_init),
	SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
	SCMP_SYS(link),
	SCMP_SYS(linkat),
	SCMP_SYS(symlink),
	SCMP_SYS(symlinkat),
	SCMP_SYS(chown),
	SCMP_SYS(fchown),
	SCMP_SYS(lchown),
	SCMP_SYS(fchownat),
	SCMP_SYS(quotactl),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	/* parts of the kernel that have no business here and a long list of flaws */
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(bpf),
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(io_setup),
	SCMP_SYS(io_submit),
	SCMP_SYS(vmsplice),
	SCMP_SYS(modify_ldt),
	SCMP_SYS(lookup_dcookie),
	/* the machine */
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(reboot),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
	SCMP_SYS(syslog),
	SCMP_SYS(acct),
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(adjtimex),
	SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname),
	/* getting privileges back */
	SCMP_SYS(setuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setreuid),
	SCMP_SYS(setregid),
	SCMP_SYS(setresuid),
	SCMP_SYS(setresgid),
	SCMP_SYS(setgroups),
	SCMP_SYS(setfsuid),
	SCMP_SYS(setfsgid),
	SCMP_SYS(capset),
};

static int failed(char *why, size_t why_len, const char *what, int rc)
{
	snprintf(why, why_len, "worker: give up privileges: %s: %s", what, strerror(-rc));
	return rc;
}

/* glibc changes the ids of all threads, also of those that the backend started. */
static int drop_user(const char *user, char *why, size_t why_len)
{
	struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (!pw) {
		snprintf(why, why_len, "worker: user %s: %s", user,
			 errno ? strerror(errno) : "no such user");
		return errno ? -errno : -ENOENT;
	}
	if (setgroups(0, NULL) < 0)
		return failed(why, why_len, "setgroups", -errno);
	if (setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0)
		return failed(why, why_len, "setresgid", -errno);
	if (setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return failed(why, why_len, "setresuid", -errno);
	return 0;
}

static int drop_capabilities(char *why, size_t why_len)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	int cap;

	/* Needs CAP_SETPCAP; without it no program of ours could gain from the set anyhow. */
	for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &header, none) < 0)
		return failed(why, why_len, "capset", -errno);
	return 0;
}

static int limit(int resource, rlim_t most, const char *name, char *why, size_t why_len)
{
	struct rlimit l;

	if (getrlimit(resource, &l) < 0)
		return failed(why, why_len, name, -errno);
	if (l.rlim_max > most)
		l.rlim_max = most;
	l.rlim_cur = l.rlim_max;
	if (setrlimit(resource, &l) < 0)
		return failed(why, why_len, name, -errno);
	return 0;
}

/* A new process, or a new namespace: only threads of this process may come into being. */
static int deny_processes(scmp_filter_ctx ctx)
{
	int rc;

	rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
			      SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	/* Its flags are in memory, where a filter cannot look; ENOSYS makes glibc use clone(). */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	/* Signals to itself only. */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1,
				      SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid()));
	return rc;
}

static int filter_system_calls(char *why, size_t why_len)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int rc = -ENOMEM;
	size_t i;

	if (!ctx)
		goto out;
	/* Also for the threads that the backend has started; sets no_new_privs too. */
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	for (i = 0; rc == 0 && i < sizeof(denied) / sizeof(denied[0]); i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
	if (rc == 0)
		rc = deny_processes(ctx);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
out:
	return rc < 0 ? failed(why, why_len, "seccomp filter", rc) : 0;
}

int worker_drop_privileges(const char *user, char *why, size_t why_len)
{
	int rc;

	if (worker_has_tool())
		return 0;
	rc = limit(RLIMIT_CORE, 0, "RLIMIT_CORE", why, why_len);
	if (rc == 0)
		rc = limit(RLIMIT_NOFILE, FILES_MAX, "RLIMIT_NOFILE", why, why_len);
	if (rc == 0)
		rc = limit(RLIMIT_FSIZE, FILE_BYTES_MAX, "RLIMIT_FSIZE", why, why_len);
	if (rc == 0 && user && geteuid() == 0)
		rc = drop_user(user, why, why_len);
	if (rc == 0)
		rc = drop_capabilities(why, why_len);
	if (rc < 0)
		return rc;
	/* A change of user has cleared it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return failed(why, why_len, "PR_SET_PDEATHSIG", -errno);
	/* Tests that count a worker's descriptors need to see them. */
	if (prctl(PR_SET_DUMPABLE, getenv("GPU_MEDIATOR_TEST_DUMPABLE") ? 1 : 0, 0, 0, 0) < 0)
		return failed(why, why_len, "PR_SET_DUMPABLE", -errno);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return failed(why, why_len, "PR_SET_NO_NEW_PRIVS", -errno);
	return filter_system_calls(why, why_len);
}
