/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"
#include "vgpu_test.h"

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_identity_tests();
    add_register_tests();
    add_mailbox_tests();
    add_irq_tests();
    add_liveness_tests();
    add_link_tests();
    add_lifecycle_tests();
    add_migration_tests();
    add_random_tests();
    return g_test_run();
}
