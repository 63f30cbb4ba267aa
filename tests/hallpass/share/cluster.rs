//! Servers that are more than one: a cluster, a failover, a replica; and one that requires client certificates.

use std::path::Path;

use tempfile::TempDir;

use super::printed;
use crate::crowd::wait_until;
use crate::fleet::{Certificates, Redis, free_port, machine, numbered};
use crate::machine::Machine;
use crate::server::Server;

/// Three primaries, and perhaps a replica of each.
struct Cluster {
    nodes: Vec<Redis>,
    tls_ports: Vec<u16>,
    ca_file: String,
}

/// The first slots of the three primaries, and the end.
const SLOTS: [u16; 4] = [0, 5461, 10923, 16384];

/// A node with and without TLS, whose ports for the cluster are free, too.
fn node(certificates: &Certificates, tls_port: u16) -> Redis {
    let (tls_port, bus_port) = (tls_port.to_string(), free_port().to_string());
    let mut options = vec![
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus_port,
        "--cluster-node-timeout",
        "1500",
        "--tls-cluster",
        "yes",
        "--tls-replication",
        "yes",
        "--tls-port",
        &tls_port,
    ];
    let tls = certificates.options("no");
    options.extend(tls.iter().map(String::as_str));
    Redis::start(&options)
}

impl Cluster {
    fn start(material: &Path, replicas: usize) -> Self {
        let certificates = Certificates::in_directory(material);
        let tls_ports: Vec<u16> = (0..3 + replicas).map(|_| free_port()).collect();
        let nodes = tls_ports.iter().map(|port| node(&certificates, *port));
        let nodes: Vec<_> = nodes.collect();
        for (number, node) in nodes.iter().enumerate() {
            node.text::<()>(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1));
            if let Some([first, end]) = SLOTS.get(number..number + 2).map(|it| [it[0], it[1]]) {
                node.text::<()>(&format!("CLUSTER ADDSLOTSRANGE {first} {}", end - 1));
            }
        }
        for (node, port) in nodes.iter().zip(&tls_ports).skip(1) {
            let bus: Vec<String> = node.text("CONFIG GET cluster-port");
            nodes[0].text::<()>(&format!("CLUSTER MEET 127.0.0.1 {port} {}", bus[1]));
        }
        let cluster = Self {
            ca_file: certificates.ca,
            nodes,
            tls_ports,
        };
        cluster.wait_until_it_works();
        for replica in 3..3 + replicas {
            let primary: String = cluster.nodes[replica - 3].text("CLUSTER MYID");
            cluster.nodes[replica].text::<()>(&format!("CLUSTER REPLICATE {primary}"));
            wait_until("the replica is there", || {
                let info: String = cluster.nodes[replica].text("INFO replication");
                info.contains("master_link_status:up")
            });
        }
        cluster
    }

    fn wait_until_it_works(&self) {
        wait_until("the cluster works", || {
            self.nodes.iter().all(|node| {
                let info: String = node.text("CLUSTER INFO");
                let known = format!("cluster_known_nodes:{}", self.nodes.len());
                info.contains("cluster_state:ok") && info.contains(&known)
            })
        });
    }

    /// A machine whose URL has this node.
    fn machine(&self, node: usize, tokens: &Server) -> Machine {
        let url = format!("rediss://127.0.0.1:{}", self.tls_ports[node]);
        let mut machine = machine(tokens, &url);
        machine.set("HALLPASS_SHARE_CA_FILE", &self.ca_file);
        machine
    }

    /// The primary that has keys.
    fn owner(&self) -> usize {
        let has_keys = |node: &usize| !self.nodes[*node].names().is_empty();
        (0..3).find(has_keys).expect("a node with a key")
    }
}

#[test]
fn each_node_of_a_cluster_leads_to_the_token() {
    let material = TempDir::with_prefix("hallpass-tls-").expect("a directory");
    let cluster = Cluster::start(material.path(), 0);
    let tokens = numbered();
    for node in 0..3 {
        let ran = cluster.machine(node, &tokens).run(&["-v", "token"]);
        assert_eq!(printed(&ran), "token-1", "{node}: {ran:?}");
    }
    assert_eq!(tokens.requests().len(), 1);
    let doctor = cluster.machine(0, &tokens).run(&["doctor"]);
    assert!(
        doctor
            .stdout
            .contains("an entry can be written, read and removed"),
        "{doctor:?}"
    );
    // All keys of one entry are at one node, and other entries may be at others.
    let scopes = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    for scope in scopes {
        let arguments = ["-v", "token", "--scope", scope];
        let [first, second] = [0, 1].map(|node| cluster.machine(node, &tokens).run(&arguments));
        assert_eq!(printed(&first), printed(&second), "{first:?} {second:?}");
    }
    let counts = cluster.nodes.iter().map(|node| node.names().len());
    let counts: Vec<_> = counts.collect();
    assert_eq!(counts.iter().sum::<usize>(), 1 + scopes.len(), "{counts:?}");
    assert!(counts.iter().filter(|count| **count > 0).count() > 1);
}

#[test]
fn after_a_failover_the_fleet_has_its_token_and_meanwhile_no_call_fails() {
    let material = TempDir::with_prefix("hallpass-tls-").expect("a directory");
    let mut cluster = Cluster::start(material.path(), 3);
    let tokens = numbered();
    assert_eq!(
        cluster.machine(0, &tokens).run(&["token"]).token(),
        "token-1"
    );
    let owner = cluster.owner();
    let replica = owner + 3;
    wait_until("the replica has the token", || {
        !cluster.nodes[replica].names().is_empty()
    });
    let other = (owner + 1) % 3;
    let through_gone = cluster.machine(owner, &tokens);
    cluster.nodes[owner].stop();
    printed(&through_gone.run(&["token"]));
    printed(&cluster.machine(other, &tokens).run(&["token"]));
    let requests = tokens.requests().len();
    assert!((2..=3).contains(&requests), "{requests}");
    wait_until("the replica is the primary", || {
        let info: String = cluster.nodes[replica].text("INFO replication");
        let state: String = cluster.nodes[other].text("CLUSTER INFO");
        info.contains("role:master") && state.contains("cluster_state:ok")
    });
    let ran = cluster.machine(other, &tokens).run(&["-v", "token"]);
    assert!(ran.stderr.contains("share: has a token"), "{ran:?}");
    printed(&ran);
    assert_eq!(tokens.requests().len(), requests);
}

/// While a slot moves to another node, keys that are not there yet cannot be used together.
#[test]
fn a_slot_that_moves_costs_a_request_and_fails_no_call() {
    let material = TempDir::with_prefix("hallpass-tls-").expect("a directory");
    let cluster = Cluster::start(material.path(), 0);
    let tokens = numbered();
    assert_eq!(
        cluster.machine(0, &tokens).run(&["token"]).token(),
        "token-1"
    );
    let from = cluster.owner();
    let to = (from + 1) % 3;
    let name = cluster.nodes[from].names().remove(0);
    let slot: u16 = cluster.nodes[from].text(&format!("CLUSTER KEYSLOT {name}"));
    let id = |node: usize| -> String { cluster.nodes[node].text("CLUSTER MYID") };
    let (from_id, to_id) = (id(from), id(to));
    let set = |node: usize, what: String| {
        cluster.nodes[node].text::<()>(&format!("CLUSTER SETSLOT {slot} {what}"));
    };
    set(to, format!("IMPORTING {from_id}"));
    set(from, format!("MIGRATING {to_id}"));
    let moving = cluster.machine(from, &tokens);
    let ran = moving.run(&["-v", "token"]);
    assert_eq!(printed(&ran), "token-2", "{ran:?}");
    assert!(ran.stderr.contains("the node of the cluster"), "{ran:?}");
    cluster.nodes[from].text::<()>(&format!("DEL {name}"));
    printed(&cluster.machine(from, &tokens).run(&["token"]));
    for node in [to, from] {
        set(node, format!("NODE {to_id}"));
    }
    // The others learn it in time; these two know it.
    let requests = tokens.requests().len();
    for node in [from, to, from] {
        printed(&cluster.machine(node, &tokens).run(&["token"]));
    }
    assert_eq!(tokens.requests().len(), requests + 1);
}

#[test]
fn a_read_only_replica_has_the_token_but_takes_none() {
    let (primary, replica) = (Redis::start(&[]), Redis::start(&[]));
    replica.text::<()>(&format!("REPLICAOF 127.0.0.1 {}", primary.port()));
    let tokens = numbered();
    assert_eq!(
        machine(&tokens, &primary.url()).run(&["token"]).token(),
        "token-1"
    );
    wait_until("the replica has the token", || !replica.names().is_empty());
    let at_replica = || machine(&tokens, &replica.url());
    assert_eq!(at_replica().run(&["token"]).token(), "token-1");
    let ran = at_replica().run(&["-v", "token", "--scope", "new"]);
    assert_eq!(printed(&ran), "token-2");
    assert!(ran.stderr.contains("is a read-only replica"), "{ran:?}");
    // It becomes the primary: the fleet goes on with the token.
    replica.text::<()>("REPLICAOF NO ONE");
    assert_eq!(at_replica().run(&["token"]).token(), "token-1");
    for _ in 0..2 {
        let machine = at_replica();
        let ran = machine.run(&["token", "--scope", "new"]);
        assert_eq!(printed(&ran), "token-3");
    }
}

#[test]
fn a_server_can_require_a_client_certificate() {
    let material = TempDir::with_prefix("hallpass-tls-").expect("a directory");
    let certificates = Certificates::in_directory(material.path());
    let options = certificates.options("yes");
    let redis = Redis::start(&options.iter().map(String::as_str).collect::<Vec<_>>());
    let machine = Machine::new();
    let url = redis.tls_url();
    let share = [
        "--share",
        &url,
        "--share-ca-file",
        &certificates.ca,
        "--no-verify",
    ];
    let identity = [
        "--share-cert",
        &certificates.client,
        "--share-cert-key",
        &certificates.client_key,
    ];
    for name in ["p", "q"] {
        machine.login(name, machine.server(), &[&share[..], &identity].concat());
        assert_eq!(machine.run(&["token", name]).token(), "token-1");
        let doctor = machine.run(&["doctor", name]);
        let works = "an entry can be written, read and removed";
        assert!(doctor.stdout.contains(works), "{doctor:?}");
    }
    machine.login("without", machine.server(), &share);
    let ran = machine.run(&["-v", "token", "without"]);
    printed(&ran);
    let requires = "the server requires a client certificate";
    assert!(ran.stderr.contains(requires), "{ran:?}");
    // Of another authority.
    let elsewhere = TempDir::with_prefix("hallpass-tls-").expect("a directory");
    let other = Certificates::in_directory(elsewhere.path());
    let foreign = [
        "--share-cert",
        &other.client,
        "--share-cert-key",
        &other.client_key,
    ];
    machine.login(
        "foreign",
        machine.server(),
        &[&share[..], &foreign].concat(),
    );
    let doctor = machine.run(&["doctor", "foreign"]);
    let refused = "the server refused the client certificate";
    assert!(doctor.stdout.contains(refused), "{doctor:?}");
}
