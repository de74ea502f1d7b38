################################################################################
#
# sluice
#
################################################################################

SLUICE_VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' $(BR2_EXTERNAL_SLUICE_PATH)/../Cargo.toml | head -n 1)
SLUICE_SITE = $(BR2_EXTERNAL_SLUICE_PATH)/..
SLUICE_SITE_METHOD = local
SLUICE_LICENSE = Apache-2.0 or MIT
SLUICE_LICENSE_FILES = LICENSE-APACHE LICENSE-MIT
# `make cross` has built the program: of the project only the licences are
# copied. All of it would be much, as Buildroot itself lies in its target/.
SLUICE_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = \
	$(addprefix --include=/,$(SLUICE_LICENSE_FILES)) --exclude='*'
SLUICE_PROGRAM = $(call qstrip,$(BR2_PACKAGE_SLUICE_PROGRAM))

ifeq ($(BR2_PACKAGE_SLUICE)$(BR_BUILDING),yy)
ifeq ($(wildcard $(SLUICE_PROGRAM)),)
$(error BR2_PACKAGE_SLUICE_PROGRAM: there is no program at "$(SLUICE_PROGRAM)"; build it with "make cross TARGET=...")
endif
endif

define SLUICE_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(SLUICE_PROGRAM) $(TARGET_DIR)/usr/bin/sluice
endef

$(eval $(generic-package))
