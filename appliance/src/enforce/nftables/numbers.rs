//! The numbers of `linux/netfilter/nf_tables.h`, under the kernel's names without their prefixes.

/// The subsystem's number, the upper byte of a message's type (`NFNL_SUBSYS_NFTABLES`).
pub const SUBSYSTEM: u16 = 10;
/// Begins a batch that is applied whole or not at all.
pub const BATCH_BEGIN: u16 = 16;
/// Ends it.
pub const BATCH_END: u16 = 17;

/// Address family of tables that hook bridges.
pub const FAMILY_BRIDGE: u8 = 7;
/// Address family of tables that hook single interfaces.
pub const FAMILY_NETDEV: u8 = 5;
/// First hook of either family: `ingress` of netdev, `prerouting` of bridge.
pub const FIRST_HOOK: u32 = 0;

/// The multicast group that hears of every change (`NFNLGRP_NFTABLES`).
pub const GROUP: u32 = 7;

pub mod message {
    //! `enum nf_tables_msg_types`.
    pub const NEW_TABLE: u16 = 0;
    pub const DELETE_TABLE: u16 = 2;
    pub const NEW_CHAIN: u16 = 3;
    pub const NEW_RULE: u16 = 6;
    pub const GET_RULE: u16 = 7;
    pub const NEW_SET: u16 = 9;
    pub const NEW_SET_ELEMENT: u16 = 12;
    pub const GET_SET_ELEMENT: u16 = 13;
    pub const DELETE_SET_ELEMENT: u16 = 14;
    pub const NEW_GENERATION: u16 = 15;
    pub const GET_GENERATION: u16 = 16;
}

pub mod table {
    //! `enum nft_table_attributes`.
    pub const NAME: u16 = 1;
    pub const USER_DATA: u16 = 6;
}

pub mod chain {
    //! `enum nft_chain_attributes`, and of its hook.
    pub const TABLE: u16 = 1;
    pub const NAME: u16 = 3;
    pub const HOOK: u16 = 4;
    pub const POLICY: u16 = 5;
    pub const TYPE: u16 = 7;
    pub const HOOK_NUMBER: u16 = 1;
    pub const HOOK_PRIORITY: u16 = 2;
    pub const HOOK_DEVICES: u16 = 4;
    pub const DEVICE_NAME: u16 = 1;
}

pub mod rule {
    //! `enum nft_rule_attributes`, and of its expressions.
    pub const TABLE: u16 = 1;
    pub const CHAIN: u16 = 2;
    pub const EXPRESSIONS: u16 = 4;
    pub const USER_DATA: u16 = 7;
    pub const LIST_ELEMENT: u16 = 1;
    pub const EXPRESSION_NAME: u16 = 1;
    pub const EXPRESSION_DATA: u16 = 2;
    pub const COUNTER_PACKETS: u16 = 2;
}

pub mod generation {
    //! `enum nft_gen_attributes`.
    pub const ID: u16 = 1;
    pub const PROCESS: u16 = 2;
    pub const PROCESS_NAME: u16 = 3;
}

pub mod set {
    //! `enum nft_set_attributes`, its flags, and the key types of `nft`.
    pub const TABLE: u16 = 1;
    pub const NAME: u16 = 2;
    pub const FLAGS: u16 = 3;
    pub const KEY_TYPE: u16 = 4;
    pub const KEY_LENGTH: u16 = 5;
    pub const DESCRIPTION: u16 = 9;
    pub const ID: u16 = 10;
    pub const DESCRIPTION_SIZE: u16 = 1;
    pub const FLAG_INTERVAL: u32 = 0x4;
    pub const FLAG_TIMEOUT: u32 = 0x10;
    /// Rules add elements (`NFT_SET_EVAL`, in the words of `nft` "dynamic").
    pub const FLAG_DYNAMIC: u32 = 0x20;
    pub const TYPE_IPV4_ADDRESS: u32 = 7;
    pub const TYPE_IPV6_ADDRESS: u32 = 8;
    pub const TYPE_ETHERNET_ADDRESS: u32 = 9;
    pub const TYPE_FRAME_TYPE: u32 = 10;
    pub const TYPE_PROTOCOL: u32 = 12;
    pub const TYPE_PORT: u32 = 13;
    pub const TYPE_MARK: u32 = 19;
    /// By how many bits the types of a concatenation are shifted against each other.
    pub const TYPE_BITS: u32 = 6;
}

pub mod element {
    //! `enum nft_set_elem_list_attributes` and `enum nft_set_elem_attributes`.
    pub const TABLE: u16 = 1;
    pub const SET: u16 = 2;
    pub const ELEMENTS: u16 = 3;
    pub const LIST_ELEMENT: u16 = 1;
    pub const KEY: u16 = 1;
    pub const FLAGS: u16 = 3;
    pub const TIMEOUT: u16 = 4;
    pub const EXPIRATION: u16 = 5;
    pub const EXPRESSION: u16 = 7;
    pub const DATA_VALUE: u16 = 1;
    pub const FLAG_INTERVAL_END: u32 = 1;
}

pub mod dynamic_set {
    //! `enum nft_dynset_attributes` and `enum nft_dynset_ops`.
    pub const SET: u16 = 1;
    pub const OPERATION: u16 = 3;
    pub const KEY_REGISTER: u16 = 4;
    pub const TIMEOUT: u16 = 6;
    pub const ADD: u32 = 0;
    pub const UPDATE: u32 = 1;
}

pub mod limit {
    //! `enum nft_limit_attributes`.
    pub const RATE: u16 = 1;
    pub const UNIT_S: u16 = 2;
    pub const BURST: u16 = 3;
    pub const TYPE: u16 = 4;
    pub const FLAGS: u16 = 5;
    pub const TYPE_PACKETS: u32 = 0;
    /// Matches what is over the rate (`NFT_LIMIT_F_INV`).
    pub const FLAG_OVER: u32 = 1;
}
