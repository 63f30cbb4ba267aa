# Builds hallpass from this source: nix build --no-write-lock-file 'git+file:///path/to/hallpass?dir=packaging'
{
  description = "OAuth 2.0 client credentials from the OS keychain, tokens for every tool";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      manifest = (builtins.fromTOML (builtins.readFile ../Cargo.toml)).package;
      systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      package = pkgs: pkgs.rustPlatform.buildRustPackage {
        pname = manifest.name;
        version = manifest.version;
        src = ../.;
        cargoLock.lockFile = ../Cargo.lock;
        # The tests need real servers, keychains and clients.
        doCheck = false;
        env.HALLPASS_COMMIT = self.rev or "unknown";
        postInstall = ''
          sh packaging/stage "$out/bin/hallpass" "$out"
        '';
        meta = {
          inherit (manifest) description;
          license = [ pkgs.lib.licenses.mit pkgs.lib.licenses.asl20 ];
          mainProgram = "hallpass";
        };
      };
    in
    {
      packages = nixpkgs.lib.genAttrs systems (system: {
        default = package nixpkgs.legacyPackages.${system};
      });
    };
}
