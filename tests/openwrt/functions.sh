# Stands for OpenWrt's /lib/functions.sh in tests/openwrt.rs: of UCI what the package asks. The shell reads a file of UCI as it is.

config_load() {
	CONFIG_SECTIONS=
	. "/etc/config/$1"
}

config() {
	CONFIG_SECTION=$2
	CONFIG_SECTIONS="$CONFIG_SECTIONS $2"
	eval "CONFIG_${2}_TYPE=\$1"
}

option() {
	eval "CONFIG_${CONFIG_SECTION}_$1=\$2"
}

list() {
	local before
	config_get before "$CONFIG_SECTION" "$1"
	option "$1" "${before:+$before }$2"
}

config_get() {
	eval "$1=\${CONFIG_${2}_$3:-\$4}"
}

get_bool() {
	case $1 in
		1 | on | true | yes | enabled) echo 1 ;;
		0 | off | false | no | disabled) echo 0 ;;
		*) echo "$2" ;;
	esac
}

config_get_bool() {
	local found
	config_get found "$2" "$3" "$4"
	eval "$1=\$(get_bool \"\$found\" \"$4\")"
}

config_foreach() {
	local section type
	for section in $CONFIG_SECTIONS; do
		config_get type "$section" TYPE
		[ "$type" != "$2" ] || "$1" "$section"
	done
}
