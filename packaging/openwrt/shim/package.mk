# What of OpenWrt's package.mk the package's Makefile uses, for packaging/openwrt/build: `make package ROOT=… CONTROL=… ARCHITECTURE=…`
# puts the files below ROOT, and what packages say of themselves below CONTROL, as include/package-pack.mk of OpenWrt has it.
empty:=
space:=$(empty) $(empty)
comma:=,

# Dependencies that are packages, without the mark that selects them in the build: `+kmod-veth`.
packages=$(subst $(space),$(comma)$(space),$(strip $(patsubst +%,%,$(filter +%,$(1)))))

define BuildPackage
$(eval $(Package/$(1)))
export CONTROL_FIELDS
export CONFFILES
define CONTROL_FIELDS
Package: $(1)
Version: $(PKG_VERSION)-r$(PKG_RELEASE)
Depends: $(call packages,$(DEPENDS))
License: $(PKG_LICENSE)
Section: $(SECTION)
Maintainer: $(PKG_MAINTAINER)
Architecture: $(ARCHITECTURE)
Installed-Size: 0
Description: $(strip $(Package/$(1)/description))
endef
define CONFFILES
$(strip $(Package/$(1)/conffiles))
endef
.PHONY: package
package:
	$(call Build/Prepare)
	$(call Package/$(1)/install,$(ROOT))
	$(INSTALL_DIR) $(CONTROL)
	printenv CONTROL_FIELDS >$(CONTROL)/control
	printenv CONFFILES >$(CONTROL)/conffiles
endef
