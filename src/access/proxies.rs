//! Whose address counts: where a proxy stands in between, and where one has many.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

/// The part of an IPv6 address that its holder chooses: homes and offices get a /56 or more (RFC 6177).
const HOST_BITS: u32 = 72;

/// Where a network that has only IPv6 puts the addresses of IPv4 (RFC 6052): the last 32 bits of each.
const TRANSLATED: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// The address that is counted for whoever is connected from `peer`. A proxy of the operator's is believed what it says in
/// `x-forwarded-for`, and so is the one before it; anybody could write the rest.
pub(super) fn client<'a>(
    peer: IpAddr,
    forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    proxies: &[IpNet],
) -> IpAddr {
    let is_proxy = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    for text in forwarded_for.flat_map(|value| value.split(',')).rev() {
        if !is_proxy(&client) {
            break;
        }
        let Some(address) = address(text.trim()) else { break };
        client = address;
    }
    client
}

/// Whom an address is counted for: a subscriber of IPv6 has any number of addresses.
pub fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) if address.segments()[..6] == TRANSLATED => {
            Ipv4Addr::from(u128::from(address) as u32).into()
        }
        IpAddr::V6(address) => {
            let network = u128::from(address) >> HOST_BITS << HOST_BITS;
            IpAddr::V6(network.into())
        }
    }
}

/// With or without a port, in brackets or not: proxies differ.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse().map(|it: SocketAddr| it.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, forwarded_for: &[&str]) -> String {
        let proxies = ["10.0.0.0/8", "fd00::/8"].map(|it| it.parse().expect("a network"));
        let peer = peer.parse().expect("an address");
        client(peer, forwarded_for.iter().copied(), &proxies).to_string()
    }

    #[test]
    fn the_addresses_of_one_network_are_one() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
            ("2001:db8:1:ff::9", "2001:db8:1::"),
            ("2001:db8:1:100::9", "2001:db8:1:100::"),
            ("64:ff9b::192.0.2.7", "192.0.2.7"),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(counted(address).to_string(), expected, "{address}");
        }
    }

    #[test]
    fn a_proxy_is_believed_and_nobody_else() {
        for (peer, forwarded_for, expected) in [
            ("10.0.0.1", &["192.0.2.7"][..], "192.0.2.7"),
            ("10.0.0.1", &["192.0.2.7:4711"], "192.0.2.7"),
            ("10.0.0.1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("fd00::1", &["[2001:db8::7]"], "2001:db8::7"),
            // What the client itself wrote stands to the left.
            ("10.0.0.1", &["198.51.100.1, 192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["198.51.100.1", "192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["192.0.2.7, 10.0.0.2"], "192.0.2.7"),
            ("::ffff:10.0.0.1", &["192.0.2.7"], "192.0.2.7"),
            ("192.0.2.9", &["198.51.100.1"], "192.0.2.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.7, junk, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["", ",,"], "10.0.0.1"),
        ] {
            assert_eq!(of(peer, forwarded_for), expected, "{peer} {forwarded_for:?}");
        }
    }
}
