# Completes the arguments of hallpass in fish.
function __hallpass_complete
    set -l before (commandline -opc)
    set -e before[1]
    set -l current (commandline -ct)
    command hallpass complete "=$current" $before 2>/dev/null | while read -l line
        switch $line
            case ':files*'
                __fish_complete_path (string replace -r '^--[a-z-]*=' '' -- "$current")
            case ':directories*'
                __fish_complete_directories (string replace -r '^--[a-z-]*=' '' -- "$current")
            case ':commands*'
                __fish_complete_command
            case '*'
                printf '%s\n' $line
        end
    end
end
complete -c hallpass -f -a '(__hallpass_complete)'
