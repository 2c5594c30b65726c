//! `ExIsProcessorFeaturePresent`: the features of this machine's processors (`PF_...`).

use std::arch::is_x86_feature_detected as has;
use std::arch::x86_64::__cpuid_count;

use crate::ground::declare::nt;
use crate::ground::types::Boolean;

nt! {
    /// Whether a feature is present and enabled. Unknown numbers are absent features.
    fn ExIsProcessorFeaturePresent(feature: u32) -> Boolean { Boolean::from(is_present(feature)) }
}

/// The numbers are those of the public headers.
fn is_present(feature: u32) -> bool {
    match feature {
        // PF_COMPARE_EXCHANGE_DOUBLE, PF_MMX_INSTRUCTIONS_AVAILABLE, PF_XMMI_INSTRUCTIONS_AVAILABLE,
        // PF_RDTSC_INSTRUCTION_AVAILABLE, PF_PAE_ENABLED, PF_XMMI64_INSTRUCTIONS_AVAILABLE, PF_FASTFAIL_AVAILABLE:
        // every processor for x64 has them, and __fastfail is provided.
        2 | 3 | 6 | 8 | 9 | 10 | 23 => true,
        // PF_3DNOW_INSTRUCTIONS_AVAILABLE
        7 => extended().is_some_and(|(_, d)| bit(d, 31)),
        // PF_NX_ENABLED
        12 => extended().is_some_and(|(_, d)| bit(d, 20)),
        // PF_SSE3_INSTRUCTIONS_AVAILABLE
        13 => has!("sse3"),
        // PF_COMPARE_EXCHANGE128
        14 => has!("cmpxchg16b"),
        // PF_XSAVE_ENABLED
        17 => has!("xsave"),
        // PF_RDWRFSGSBASE_AVAILABLE
        22 => fs_gs_base(),
        // PF_RDRAND_INSTRUCTION_AVAILABLE
        28 => has!("rdrand"),
        // PF_RDTSCP_INSTRUCTION_AVAILABLE
        32 => extended().is_some_and(|(_, d)| bit(d, 27)),
        // PF_RDPID_INSTRUCTION_AVAILABLE
        33 => structured().is_some_and(|(_, c)| bit(c, 22)),
        // PF_SSSE3_, SSE4_1_, SSE4_2_, AVX_, AVX2_, AVX512F_INSTRUCTIONS_AVAILABLE
        36 => has!("ssse3"),
        37 => has!("sse4.1"),
        38 => has!("sse4.2"),
        39 => has!("avx"),
        40 => has!("avx2"),
        41 => has!("avx512f"),
        // PF_ERMS_AVAILABLE
        42 => structured().is_some_and(|(b, _)| bit(b, 9)),
        // Among others PF_FLOATING_POINT_PRECISION_ERRATA and PF_FLOATING_POINT_EMULATED, which no processor for x64
        // has, and PF_SECOND_LEVEL_ADDRESS_TRANSLATION and PF_VIRT_FIRMWARE_ENABLED: no driver can virtualise here.
        _ => false,
    }
}

const fn bit(word: u32, number: u32) -> bool {
    word >> number & 1 != 0
}

/// Whether the processor has this leaf of the instruction.
fn has_leaf(leaf: u32) -> bool {
    let first = leaf & 0x8000_0000;
    __cpuid_count(first, 0).eax >= leaf
}

/// `ecx` and `edx` of the extended features.
fn extended() -> Option<(u32, u32)> {
    has_leaf(0x8000_0001).then(|| __cpuid_count(0x8000_0001, 0)).map(|leaf| (leaf.ecx, leaf.edx))
}

/// `ebx` and `ecx` of the structured features.
fn structured() -> Option<(u32, u32)> {
    has_leaf(7).then(|| __cpuid_count(7, 0)).map(|leaf| (leaf.ebx, leaf.ecx))
}

/// Whether programs can use `rdgsbase` and its like, which the kernel has to enable.
fn fs_gs_base() -> bool {
    const HWCAP2_FSGSBASE: libc::c_ulong = 1 << 1;
    // SAFETY: it reads a table of this process.
    (unsafe { libc::getauxval(libc::AT_HWCAP2) }) & HWCAP2_FSGSBASE != 0
}
