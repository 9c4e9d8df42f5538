/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Saving and loading: possible for an identity only, refused with a window or
 * a mediator; and a saved state that was tampered with.
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "qemu/bswap.h"
#include "vgpu_test.h"
#include "hw/pci/pci_regs.h"

/* Found again in the file: the mailbox's data, behind the other registers. */
#define PATTERN "vgpu-pattern-one"
#define REGISTERS_BEFORE 6 /* words, big-endian, in the order of VMState */

enum {
    SAVED_IRQ_STATUS,
    SAVED_IRQ_MASK,
    SAVED_COMMAND,
    SAVED_STATUS,
    SAVED_DATA_OFFSET,
    SAVED_DATA_LEN,
};

static void expect_refused(Vm *vm)
{
    QDict *rsp = qtest_qmp(vm->qts, "{'execute': 'migrate', 'arguments':"
                           " {'uri': 'exec:cat >/dev/null'}}");
    QDict *error = qdict_get_qdict(rsp, "error");

    g_assert_nonnull(error);
    g_assert_nonnull(strstr(qdict_get_str(error, "desc"), "vgpu-stub v0: "
                            "the state of its guest lives in host processes"));
    qobject_unref(rsp);
}

static void test_refused(void)
{
    Vm *vm = vm_start(WITH_WINDOW, NULL);

    expect_refused(vm);
    vm_stop(vm);
    vm = vm_start(WITH_MEDIATOR, NULL);
    expect_refused(vm);
    vm_stop(vm);
    vm = vm_start(WITH_WINDOW | WITH_MEDIATOR, NULL);
    expect_refused(vm);
    vm_stop(vm);
}

static bool migration_is(Vm *vm, const char *status)
{
    QDict *rsp = qtest_qmp(vm->qts, "{'execute': 'query-migrate'}");
    QDict *info = qdict_get_qdict(rsp, "return");
    const char *now = qdict_get_try_str(info, "status");
    bool same = !g_strcmp0(now, status);

    g_assert_cmpstr(now, !=, "failed");
    qobject_unref(rsp);
    return same;
}

static void wait_migrated(Vm *vm)
{
    for (unsigned ms = 0; ms < HANG_MS; ms += 5) {
        if (migration_is(vm, "completed")) {
            return;
        }
        g_usleep(5000);
    }
    g_error("the migration did not end");
}

/* To the end: a QEMU that quits as the migration's thread starts may abort. */
static void save_to(Vm *vm, const char *path)
{
    g_autofree char *uri = g_strdup_printf("exec:cat >%s", path);

    qtest_qmp_assert_success(vm->qts, "{'execute': 'migrate', 'arguments':"
                             " {'uri': %s}}", uri);
    wait_migrated(vm);
}

/* Nothing of the device holds up the migration of a VM that had it. */
static void test_unplugged(void)
{
    Vm *vm = vm_start(WITH_WINDOW | WITH_MEDIATOR, NO_DEVICE);

    vm_plug(vm);
    expect_refused(vm);
    vm_unplug(vm);
    save_to(vm, "/dev/null");
    vm_stop(vm);
}

static uint16_t msix_flags(Vm *vm, int set)
{
    uint8_t cap = qpci_find_capability(vm->dev, PCI_CAP_ID_MSIX, 0);
    uint16_t flags = qpci_config_readw(vm->dev, cap + PCI_MSIX_FLAGS);

    if (set >= 0) {
        flags = set ? flags | PCI_MSIX_FLAGS_ENABLE :
                      flags & ~PCI_MSIX_FLAGS_ENABLE;
        qpci_config_writew(vm->dev, cap + PCI_MSIX_FLAGS, flags);
    }
    return flags;
}

/* A VM in the middle of its life: one result, one cause that is not cleared. */
static Vm *vm_used(void)
{
    Vm *vm = vm_start(0, NULL);
    uint32_t words[4];

    memcpy(words, PATTERN, sizeof(words));
    reg_write(vm, VGPU_REG_IRQ_MASK, VGPU_IRQ_ALL);
    mbox_start(vm, VGPU_MBOX_NOP, NULL, 0);
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_ENOMEDIATOR);
    for (int i = 0; i < 4; i++) {
        reg_write(vm, VGPU_REG_DATA + 4 * i, words[i]);
    }
    reg_write(vm, VGPU_REG_DATA_OFFSET, 0x200);
    reg_write(vm, VGPU_REG_DATA_LEN, 0x40);
    return vm;
}

static char *state_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("vgpu-XXXXXX", NULL);

    return g_build_filename(dir, "state", NULL);
}

static void state_file_free(char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);

    g_unlink(path);
    g_rmdir(dir);
    g_free(path);
}

static uint16_t pci_status(Vm *vm)
{
    return qpci_config_readw(vm->dev, PCI_STATUS);
}

static void migrate_identity(bool msix)
{
    g_autofree char *incoming = NULL;
    char *path = state_file();
    Vm *vm = vm_used();
    uint16_t flags = msix_flags(vm, msix);

    save_to(vm, path);
    g_assert_cmphex(pci_status(vm) & PCI_STATUS_INTERRUPT, ==,
                    msix ? 0 : PCI_STATUS_INTERRUPT);
    vm_stop(vm);

    incoming = g_strdup_printf("-incoming 'exec:cat %s'", path);
    vm = vm_start(INCOMING, incoming);
    wait_migrated(vm);
    vm_find(vm);
    g_assert_cmphex(reg_read(vm, VGPU_REG_MAGIC), ==, VGPU_MAGIC);
    g_assert_cmphex(reg_read(vm, VGPU_REG_IRQ_MASK), ==, VGPU_IRQ_ALL);
    g_assert_cmphex(reg_read(vm, VGPU_REG_IRQ_STATUS), ==, VGPU_IRQ_MAILBOX);
    g_assert_cmphex(reg_read(vm, VGPU_REG_COMMAND), ==, VGPU_MBOX_NOP);
    g_assert_cmpint((int32_t)reg_read(vm, VGPU_REG_STATUS), ==,
                    VGPU_ENOMEDIATOR);
    g_assert_cmphex(reg_read(vm, VGPU_REG_DATA_OFFSET), ==, 0x200);
    g_assert_cmphex(reg_read(vm, VGPU_REG_DATA_LEN), ==, 0x40);
    for (int i = 0; i < 4; i++) {
        uint32_t word = reg_read(vm, VGPU_REG_DATA + 4 * i);

        g_assert_true(!memcmp(&word, PATTERN + 4 * i, 4));
    }
    g_assert_cmphex(msix_flags(vm, -1), ==, flags);
    g_assert_cmphex(pci_status(vm) & PCI_STATUS_INTERRUPT, ==,
                    msix ? 0 : PCI_STATUS_INTERRUPT);
    /* and the line still follows the registers */
    reg_write(vm, VGPU_REG_IRQ_STATUS, VGPU_IRQ_MAILBOX);
    g_assert_cmphex(pci_status(vm) & PCI_STATUS_INTERRUPT, ==, 0);
    mbox_start(vm, VGPU_MBOX_NOP, NULL, 0);
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_ENOMEDIATOR);
    vm_stop(vm);
    state_file_free(path);
}

static void test_identity(void)
{
    migrate_identity(false);
}

static void test_identity_msix(void)
{
    migrate_identity(true);
}

/* QEMU refuses the state in @path, and says why. */
static void expect_not_loaded(const char *path, const char *more,
                              const char *why)
{
    g_autofree char *command =
        g_strdup_printf("timeout 30 %s -accel qtest -machine pc -nodefaults "
                        "-display none %s -device vgpu-stub,id=v0,addr=%u%s "
                        "-incoming 'exec:cat %s'", getenv("QTEST_QEMU_BINARY"),
                        *more ? "-chardev socket,id=m0,path=/nonexistent/m,"
                        "reconnect=60" : "", SLOT, more, path);
    g_autofree char *err = NULL;
    int status = 0;
    g_autofree char *quoted = g_shell_quote(command);
    g_autofree char *shell = g_strdup_printf("sh -c %s", quoted);

    g_assert_true(g_spawn_command_line_sync(shell, NULL, &err, &status, NULL));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 || !strstr(err, why)) {
        g_error("status 0x%x, no \"%s\" in: %s", status, why, err);
    }
}

static void test_bad_state(void)
{
    static const struct {
        int word;
        uint32_t value;
        const char *why;
    } bad[] = {
        { SAVED_IRQ_STATUS, 0x80000000, "reserved bits" },
        { SAVED_IRQ_MASK, 0x01000000, "reserved bits" },
        { SAVED_STATUS, VGPU_MBOX_BUSY, "STATUS" },
        { SAVED_STATUS, 0x7fffffff, "STATUS" },
        { SAVED_DATA_OFFSET, 0xfc, "DATA_OFFSET" },
        { SAVED_DATA_OFFSET, 0x1000, "DATA_OFFSET" },
        { SAVED_DATA_OFFSET, 0xfffffffc, "DATA_OFFSET" },
        { SAVED_DATA_OFFSET, 0x202, "DATA_OFFSET" },
        { SAVED_DATA_LEN, 0xf04, "DATA_LEN" },
        { SAVED_DATA_LEN, 0xffffffff, "DATA_LEN" },
        { SAVED_DATA_LEN, 2, "DATA_LEN" },
    };
    g_autofree char *state = NULL;
    char *path = state_file(), *words;
    gsize size;
    Vm *vm = vm_used();

    save_to(vm, path);
    vm_stop(vm);
    g_assert_true(g_file_get_contents(path, &state, &size, NULL));
    words = memmem(state, size, PATTERN, strlen(PATTERN));
    g_assert_nonnull(words);
    words -= 4 * REGISTERS_BEFORE;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        uint32_t value = cpu_to_be32(bad[i].value), was;

        memcpy(&was, words + 4 * bad[i].word, sizeof(was));
        memcpy(words + 4 * bad[i].word, &value, sizeof(value));
        g_assert_true(g_file_set_contents(path, state, size, NULL));
        expect_not_loaded(path, "", bad[i].why);
        memcpy(words + 4 * bad[i].word, &was, sizeof(was));
    }
    /* what is right for an identity is nothing for a device with a mediator */
    g_assert_true(g_file_set_contents(path, state, size, NULL));
    expect_not_loaded(path, ",chardev=m0", "has one here");
    state_file_free(path);
}

void add_migration_tests(void)
{
    qtest_add_func("vgpu-stub/migration/refused", test_refused);
    qtest_add_func("vgpu-stub/migration/unplugged", test_unplugged);
    qtest_add_func("vgpu-stub/migration/identity", test_identity);
    qtest_add_func("vgpu-stub/migration/identity-msix", test_identity_msix);
    qtest_add_func("vgpu-stub/migration/bad-state", test_bad_state);
}
