"""What NFStream 6.6.0 says of the captures here and of those in tests/captures/ of the repository.

Writes nfstream-flows.csv (at most 50 flows of each capture, by time) and nfstream-totals.csv beside itself; the test
hand_computed compares our features with them. To refresh, with a Python that has nfstream (pip install nfstream==6.6.0):

    python appliance/traffic/tests/captures/ask_nfstream.py

NFStream is asked for IP lengths, and to end flows as we do where it can: 60 s idle, 120 s active, and, by a plug-in, at a
RST or a FIN from both sides. The plug-in adds up the payload too.
"""

import csv
from pathlib import Path

from nfstream import NFPlugin, NFStreamer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
MOST_FLOWS = 50
IP_LENGTHS = 1

FLOW_COLUMNS = [
    "protocol", "src_ip", "src_port", "dst_ip", "dst_port", "vlan_id", "bidirectional_first_seen_ms",
    "bidirectional_duration_ms", "src2dst_packets", "dst2src_packets", "src2dst_bytes", "dst2src_bytes",
    "src2dst_mean_ps", "src2dst_stddev_ps", "dst2src_mean_ps", "dst2src_stddev_ps", "bidirectional_stddev_ps",
    "bidirectional_max_ps", "bidirectional_mean_piat_ms", "bidirectional_stddev_piat_ms", "bidirectional_max_piat_ms",
    "src2dst_syn_packets", "dst2src_syn_packets", "bidirectional_fin_packets", "bidirectional_rst_packets",
    "bidirectional_psh_packets", "bidirectional_urg_packets",
]  # fmt: skip


class EndOfConnection(NFPlugin):
    """Ends a flow at a RST or at a FIN from both sides, and adds up the payload by direction."""

    def on_init(self, packet, flow):
        flow.udps.finished = [False, False]
        flow.udps.payload = [0, 0]
        self.on_update(packet, flow)

    def on_update(self, packet, flow):
        flow.udps.payload[packet.direction] += packet.payload_size
        flow.udps.finished[packet.direction] |= bool(packet.fin)
        if packet.rst or all(flow.udps.finished):
            flow.expiration_id = -1


def flows_of(capture):
    streamer = NFStreamer(
        source=str(capture), statistical_analysis=True, n_dissections=0, accounting_mode=IP_LENGTHS, idle_timeout=60,
        active_timeout=120, n_meters=1, udps=EndOfConnection(),
    )  # fmt: skip
    order = ["bidirectional_first_seen_ms", "protocol", "src_ip", "src_port", "dst_ip", "dst_port"]
    return sorted(streamer, key=lambda flow: [getattr(flow, column) for column in order])


def short(value):
    return f"{value:.9g}" if isinstance(value, float) else value


def main():
    captures = [(path.stem, path) for path in sorted(HERE.glob("*.pcap"))]
    captures += [(path.parent.name, path) for path in sorted(ROOT.glob("tests/captures/*/input.pcap"))]
    with open(HERE / "nfstream-flows.csv", "w") as flow_file, open(HERE / "nfstream-totals.csv", "w") as total_file:
        flow_table = csv.writer(flow_file, lineterminator="\n")
        total_table = csv.writer(total_file, lineterminator="\n")
        flow_table.writerow(["capture", *FLOW_COLUMNS, "src2dst_payload", "dst2src_payload"])
        total_table.writerow(["capture", "flows", "packets", "bytes"])
        for name, path in captures:
            flows = flows_of(path)
            packets = sum(flow.bidirectional_packets for flow in flows)
            total_table.writerow([name, len(flows), packets, sum(flow.bidirectional_bytes for flow in flows)])
            for flow in flows[:MOST_FLOWS]:
                values = [short(getattr(flow, column)) for column in FLOW_COLUMNS]
                flow_table.writerow([name, *values, *flow.udps.payload])


if __name__ == "__main__":
    main()
